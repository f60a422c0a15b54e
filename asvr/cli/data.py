"""`asvr data`: the data sets that recipes are made of: what they are, how to get them, whether a copy is whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asvr.cli.named import find_named

if TYPE_CHECKING:
    from asvr.data.dataset import Source
    from asvr.data.published import Published

app = typer.Typer(help="The recipes' data sets: list them, check a local copy, unpack tables.")


@app.command(name="list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Show how to get this one, and what is known of it.")] = None,
) -> None:
    """List the data sets, or say how to get one."""
    from asvr.data.manifest import MANIFEST

    console = Console()
    if name is not None:
        _show(name, find_named(name, MANIFEST, "data set"), console)
        return
    table = Table("name", "records", "GB", "hub", box=None)
    table.columns[1].justify = table.columns[2].justify = "right"
    for key, one in MANIFEST.items():
        table.add_row(key, _records(one), _size(one), one.hub or "made here")
    console.print(table)
    console.print("\nasvr data list NAME says how to get one", highlight=False)


def _records(one: "Published") -> str:
    return f"{'about ' if one.about else ''}{one.num_records:,}"


def _size(one: "Published") -> str:
    if one.gigabytes is None:
        return "?"
    return f"{one.gigabytes:.1f}" if one.gigabytes >= 0.1 else "< 0.1"


def _show(name: str, one: "Published", console: Console) -> None:
    lines = [
        f"[bold]{one.title}[/], {_records(one)} records, {_size(one)} GB",
        f"hub      {one.hub or 'made here'}",
        f"licence  {one.licence}",
        f"records  {name}/{one.file}",
        f"pictures {f'{name}/{one.images}' if one.images else 'none'}",
        f"figures  {one.source}",
        *([f"note     {escape(one.note)}"] if one.note else []),
        "",
        "[bold]in the folder that --data-root is to name:[/]",
        *map(escape, one.get),
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


@app.command()
def check(
    what: Annotated[str, typer.Argument(help="Name of a data set, or a file of LLaVA records of your own.")],
    folder: Annotated[
        Path | None, typer.Argument(help="The data set's local copy; with a file, the folder of its pictures.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with copies of data sets, as --data-root.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="See that each picture has a file; do not open it.")] = False,
) -> None:
    """Count and open everything that a local copy holds, and compare it with what was published."""
    from asvr.data.copy_check import differences, inspect_copy

    source, published = _copy(what, folder, root)
    found = inspect_copy(source, decode=not fast)
    faults = differences(found, source, published)
    table = Table(show_header=False, box=None)
    table.add_row("records", f"{found.records:,}", f"{len(found.broken):,} broken")
    opened = "not opened" if fast else f"{len(found.unreadable):,} unreadable"
    table.add_row("pictures", f"{found.pictures:,}", f"{len(found.missing):,} missing, {opened}")
    Console().print(table)
    for fault in faults:
        Console(stderr=True).print(f"[bold red]differs:[/] {escape(fault)}", highlight=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)
    verdict = f"{what} is whole" if published else f"{what} can be trained on"
    Console().print(verdict, highlight=False, soft_wrap=True)


def _copy(what: str, folder: Path | None, root: Path | None) -> "tuple[Source, Published | None]":
    from asvr.data.dataset import Source
    from asvr.data.manifest import MANIFEST

    if Path(what).suffix in (".json", ".jsonl"):
        return Source(Path(what), folder), None
    published = find_named(what, MANIFEST, "data set")
    if (folder is None) == (root is None):
        raise ValueError(f"asvr data check {what}: say where the copy is, by its folder or by --root, not both")
    copy = folder if folder is not None else Path(root or "") / what
    if not copy.is_dir():
        raise FileNotFoundError(f"{copy}: no such folder. `asvr data list {what}` says how to get the data set.")
    return Source(copy / published.file, copy / published.images if published.images else None, what), published


@app.command()
def unpack(
    table: Annotated[Path, typer.Argument(help="A parquet file, a folder of them, or one that `datasets` saved.")],
    out: Annotated[Path, typer.Argument(help="Folder that gets records.jsonl and images.")],
    prompt: Annotated[
        str | None, typer.Option(help="Question to write below a picture whose question is <image> alone.")
    ] = None,
) -> None:
    """Write a table's records and pictures as files, once; the same command continues what was cut short."""
    from asvr.data.table import unpack as unpack_table

    Console().print(f"records in {unpack_table(table, out, prompt=prompt)}", soft_wrap=True)
