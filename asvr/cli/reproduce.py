"""`asvr reproduce`: a table of the paper, trained row by row at laptop scale, or its launch lines at real size."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Names = Annotated[list[str] | None, typer.Option("--arms", help="Train only these recipes; repeat or use commas.")]
LeftOut = Annotated[list[str] | None, typer.Option("--without", help="Leave these recipes out, likewise.")]


def reproduce(
    table: Annotated[str, typer.Argument(help="Number of a table with results (1, 2, 3, 4, 8, 9, 10), or all.")],
    tiny: Annotated[bool, typer.Option("--tiny", help="Train it here, on the embedded world.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per row.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables; the same command continues it.")] = Path(
        "runs/reproduce"
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help=r"Runs at a time \[default: one per processor].")] = None,
    arms: Names = None,
    without: LeftOut = None,
) -> None:
    """Train every row of a table of the paper on the same data order, and write our table beside the paper's."""
    from asvr.studies.reproduce import arms_of
    from asvr.studies.reproduce import reproduce as train_all
    from asvr.studies.run import default_jobs

    numbers = _numbers(table)
    names = arms_of(numbers, only=_names(arms), without=_names(without))
    if not tiny:
        _launch_lines(numbers, names)
        return
    for path in train_all(numbers, out, seeds=seeds, jobs=jobs or default_jobs(), arms=names):
        Console().print(f"table: {path}", soft_wrap=True)


def _numbers(table: str) -> list[int]:
    from asvr.recipes.tables import TABLES

    if table == "all":
        return list(TABLES)
    if not table.isdecimal() or int(table) not in TABLES:
        known = ", ".join(map(str, TABLES))
        raise ValueError(f"there is no table {table!r} to reproduce: choose one of {known}, or all")
    return [int(table)]


def _names(values: list[str] | None) -> list[str]:
    return [name for value in values or [] for name in value.split(",") if name]


def _launch_lines(numbers: list[int], names: list[str]) -> None:
    """Says how the real rows are trained; nothing here pretends to have done so."""
    from asvr.recipes.tables import TABLES

    console = Console()
    for number in numbers:
        console.print(f"[bold]Table {number}[/]: {TABLES[number].title}")
        for row in TABLES[number].rows:
            if row.recipe in names:
                line = f"accelerate launch -m asvr train {row.recipe} --data-root data --out runs/{row.recipe}-seed-0"
                console.print(f"  {row.label}\n    {line}", soft_wrap=True, highlight=False)
    console.print(
        "\nThese are the real recipes: hours to days on several GPUs each (`asvr explain NAME` works it out), and "
        "nothing here has been trained at that size. Their tokenizers and targets come from `asvr tokenizer` and `asvr "
        "targets`, their data from `asvr data list`. The paper's 14 benchmarks are not run by this command.\n"
        "--tiny trains the same rows here, on the embedded world, in minutes each."
    )
