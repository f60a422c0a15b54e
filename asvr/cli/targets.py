"""`asvr targets ...`: what is reconstructed, prepared once: codes of a data set, or features as targets."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from asvr.cli.left_out import tell_left_out
from asvr.cli.targets_features import features

app = typer.Typer(
    help="Targets: codes of a whole data set computed once, or features as they are.", no_args_is_help=True
)


@app.command()
def cache(
    tokenizer: Annotated[Path, typer.Option(help="Folder of the visual tokenizer.")],
    data: Annotated[str, typer.Option(help="Folder of pictures, LLaVA records, parquet, or a data set on the hub.")],
    out: Annotated[Path, typer.Option(help="Folder of the store; the same command continues it.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images of LLaVA records.")] = None,
    grid: Annotated[
        str | None, typer.Option(help="ROWSxCOLUMNS of the codes, if not the tokenizer's own; such as 27x27.")
    ] = None,
    column: Annotated[str, typer.Option(help="Picture column of a table.")] = "image",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures encoded at once, per process.")] = 64,
    workers: Annotated[int, typer.Option(min=0, help="Data worker processes, per process.")] = 0,
    shard_size: Annotated[int, typer.Option(min=1, help="Pictures per shard.")] = 1024,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="List pictures that cannot be read, instead of stopping.")
    ] = False,
) -> None:
    """Compute the codes of every picture once; under torchrun, each process writes its share of the shards."""
    from accelerate import PartialState
    from rich.progress import Progress

    from asvr.data.pictures import find_pictures
    from asvr.targets.tokenizer import VisualTokenizer
    from asvr.tokenizers.caching import Caching, cache_codes
    from asvr.tokenizers.ranks import Ranks

    words = ["asvr", "targets", "cache", "--tokenizer", str(tokenizer), "--data", data]
    words += ["--images", str(images)] if images else []
    words += ["--grid", grid] if grid else []
    words += ["--column", column] if column != "image" else []
    words += ["--shard-size", str(shard_size), "--batch-size", str(batch_size)]
    caching = Caching(
        shard_size=shard_size, batch_size=batch_size, workers=workers, skip_bad=skip_bad, command=shlex.join(words)
    )
    loaded = VisualTokenizer.from_pretrained(tokenizer, grid=parse_grid(grid) if grid else None)
    skipped: list[str] = []
    pictures = find_pictures(data, images, column=column, on_skip=skipped.append if skip_bad else None)
    ranks = Ranks()
    with Progress(disable=not ranks.is_first) as progress:
        task = progress.add_task("codes", total=-(-len(pictures) // ranks.count))
        complete = cache_codes(loaded, pictures, out, caching, on_pictures=lambda count: progress.advance(task, count))
    PartialState().destroy_process_group()
    if not ranks.is_first:
        return
    tell_left_out(skipped)
    if complete["quarantined"]:
        told = f"{complete['quarantined']} picture(s) cannot be read; {out / 'quarantine.txt'} says why"
        Console(stderr=True).print(told, markup=False, soft_wrap=True)
    Console().print(f"codes of {complete['pictures']} pictures in {out}", soft_wrap=True)


@app.command()
def info(
    store: Annotated[Path, typer.Argument(help="Folder that `asvr targets cache` has written.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte, and compare it with what was written.")
    ] = False,
) -> None:
    """Say what a store of codes holds, and whether it is whole and undamaged."""
    from rich.progress import track

    from asvr.disk import sha256_of
    from asvr.targets.code_store import INDEX, ShardFiles, continuing, read_complete, read_manifest

    manifest = read_manifest(store)
    rows, columns = manifest.grid
    table = Table(box=None, show_header=False)
    table.add_row("tokenizer", manifest.fingerprint)
    table.add_row("codes", f"{rows} x {columns} positions, {manifest.shape[1]} of {manifest.num_codes:,} each")
    table.add_row("made with", manifest.command)
    Console().print(table, soft_wrap=True)
    complete = read_complete(store, manifest)
    if verify:
        shards = [ShardFiles(store, number) for number in range(manifest.num_shards)]
        damaged = [name for shard in track(shards, "reading", transient=True) for name in shard.damage()]
        damaged += [INDEX] if sha256_of(store / INDEX) != complete["index_sha256"] else []
        if damaged:
            raise ValueError(
                f"{store}: {len(damaged)} file(s) are damaged ({', '.join(damaged)}): delete them, then "
                f"{continuing(store, manifest)}"
            )
    told = f"{complete['pictures']:,} pictures, {complete['distinct']:,} of them distinct, {complete['quarantined']:,} "
    size = sum(path.stat().st_size for path in store.iterdir())
    Console().print(f"{told}quarantined; {size:,} bytes{', every one as written' if verify else ''}", soft_wrap=True)


app.command()(features)


def parse_grid(text: str) -> tuple[int, int]:
    """Reads ROWSxCOLUMNS.

    Raises:
        ValueError: If it is something else.
    """
    rows, sign, columns = text.partition("x")
    if not (sign and rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise ValueError(f"--grid {text}: write ROWSxCOLUMNS, such as 27x27")
    return int(rows), int(columns)
