"""`asvr benchmarks`: the fourteen, where their data is, and how each is put and scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from asvr.cli.named import find_named

if TYPE_CHECKING:
    from asvr.evaluation.benchmark import Benchmark, Protocol


def benchmarks(
    name: Annotated[str | None, typer.Argument(help="Show all about this one.")] = None,
    data_root: Annotated[
        Path | None, typer.Option(help=r"Holds a folder per benchmark \[default: benchmarks-data].")
    ] = None,
) -> None:
    """List the benchmarks with their data and metric, or show the prompt and the presets of one."""
    from asvr.evaluation.benchmarks import BENCHMARKS
    from asvr.evaluation.table_files import DATA_ROOT

    console, root = Console(highlight=False), data_root or DATA_ROOT
    if name is None:
        _list(console, root)
    else:
        benchmark = find_named(name, BENCHMARKS, "benchmark")
        _describe(console, benchmark, root / name)
        _list_presets(console, benchmark)
        _show_example(console, benchmark, root / name)


def _list(console: Console, root: Path) -> None:
    from asvr.evaluation.benchmarks import BENCHMARKS
    from asvr.evaluation.table_files import is_there

    table = Table("benchmark", "column", "rows", "metric", "data on the hub", "size", "here", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for benchmark in BENCHMARKS.values():
        data = benchmark.table
        table.add_row(
            benchmark.name,
            benchmark.column,
            f"{data.num_rows:,}",
            benchmark.protocols["paper"].headline,
            data.hub,
            data.size.partition(",")[0],
            "[green]yes[/]" if is_there(benchmark, root / benchmark.name) else "no",
        )
    console.print(table)
    console.print(
        f"\n[dim]here: in {escape(str(root))}; what is not there, asvr evaluate fetches from the hub.\n"
        "asvr benchmarks NAME shows one's prompt and presets, and how to fetch it by hand.[/]"
    )


def _describe(console: Console, benchmark: "Benchmark", folder: Path) -> None:
    from asvr.evaluation.table_files import fetch_command, is_there

    data = benchmark.table
    config = f"configuration {data.config}, " if data.config else ""
    pictures = f"; pictures: configuration {data.pictures.config}" if data.pictures else ""
    here = is_there(benchmark, folder)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for key, value in {
        "hub": f"{data.hub}, {config}split {data.split}{pictures}",
        "rows": f"{data.num_rows:,}",
        "size": data.size,
        "here": str(folder) if here else f"no; asvr evaluate fetches it from the hub if {folder} does not exist",
        "columns": ", ".join(data.columns),
        "source": benchmark.source,
    }.items():
        grid.add_row(key, escape(value))
    console.print(f"[bold]{benchmark.name}[/] ({benchmark.column} in the paper's tables)\n")
    console.print(grid, "")
    if not here:
        console.print("[bold]to fetch it by hand[/]")
        console.print(f"  {escape(fetch_command(benchmark, folder))}\n", soft_wrap=True)


def _list_presets(console: Console, benchmark: "Benchmark") -> None:
    paper = benchmark.protocols["paper"]
    # Equal presets are the same object.
    for protocol in {id(protocol): protocol for protocol in benchmark.protocols.values()}.values():
        names = [name for name, other in benchmark.protocols.items() if other is protocol]
        others = [metric for metric in protocol.metrics if metric != protocol.headline]
        figures = f"{protocol.headline}, also {', '.join(others)}" if others else protocol.headline
        console.print(f"[bold]preset {' and '.join(names)}[/]{_differing(protocol, paper)}")
        _indent(console, f"{escape(figures)}; answers of at most {protocol.max_new_tokens} tokens")
        if protocol.note and (protocol is paper or protocol.note != paper.note):
            _indent(console, f"[dim]{escape(protocol.note)}[/]")
        console.print()


def _differing(protocol: "Protocol", paper: "Protocol") -> str:
    if protocol is paper:
        return ""
    same = {"prompt": protocol.prompt is paper.prompt, "scoring": protocol.judge is paper.judge}
    return ": " + ", ".join(f"{'the same' if is_same else 'another'} {part}" for part, is_same in same.items())


def _show_example(console: Console, benchmark: "Benchmark", folder: Path) -> None:
    from asvr.evaluation.table_files import find_files, is_there
    from asvr.evaluation.tables import first_item

    if not is_there(benchmark, folder):
        console.print("[dim]Its first prompt is shown here once its data is there.[/]")
        return
    item = first_item(benchmark, find_files(folder, benchmark.table.config, benchmark.table.split))
    prompts: dict[str, list[str]] = {}
    for name, protocol in benchmark.protocols.items():
        prompts.setdefault(protocol.prompt(item), []).append(name)
    for prompt, names in prompts.items():
        console.print(f"[bold]first prompt[/] ({', '.join(names)})")
        _indent(console, escape(prompt))
        console.print()
    console.print(f"[bold]right answer[/] {escape(benchmark.reference(item))}")


def _indent(console: Console, text: str) -> None:
    console.print(Padding(text, (0, 0, 0, 2), expand=False))
