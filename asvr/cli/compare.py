"""`asvr compare`: is one recipe better than another, on answers that are already there?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from asvr.evaluation.comparison import Comparison, Difference, Interval


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two folders or more, each of seed-* runs or one run; the first is the baseline."),
    ],
    on: Annotated[str, typer.Option(help="Name of the evaluation: the folder under evaluation/ in each run.")],
    resamples: Annotated[int, typer.Option(help="Draws of the bootstrap.")] = 10_000,
    out: Annotated[Path | None, typer.Option(help="Also write the comparison to this JSON file.")] = None,
) -> None:
    """Compares recipes with the first of them, and says in words what may be concluded."""
    from asvr.evaluation.arms import load_arms
    from asvr.evaluation.compare import compare_all
    from asvr.evaluation.comparison import write_comparisons

    if len(runs) < 2:
        raise ValueError(f"{len(runs)} folder is given, but a comparison takes two or more, the baseline's first.")
    baseline, *others = load_arms(runs, on=on)
    comparisons = compare_all(baseline, others, resamples=resamples)
    console = Console()
    for comparison in comparisons:
        console.print(_table(comparison, title=f"{comparison.arm} beside {comparison.baseline} on {on}"))
        console.print(
            f"On average over kinds of question: {comparison.average.verdict}\n", markup=False, soft_wrap=True
        )
    if out is not None:
        about = {
            "evaluation": on,
            "prompt_hash": baseline.prompt_hash,
            "resamples": resamples,
            "runs": {arm.name: str(path.resolve()) for arm, path in zip((baseline, *others), runs, strict=True)},
            "seeds": list(baseline.runs),
        }
        write_comparisons(out, comparisons, about=about)
        console.print(f"Written to {out}", soft_wrap=True)


def _table(comparison: "Comparison", *, title: str) -> Table:
    table = Table(
        "kind of question",
        "questions",
        f"{escape(comparison.baseline)}, %",
        f"{escape(comparison.arm)}, %",
        "difference",
        "95 % over questions",
        "95 % over seeds",
        "p (Holm)",
        title=escape(title),
    )
    for name, difference in comparison.categories.items():
        table.add_row(escape(name), *_cells(difference))
    table.add_section()
    table.add_row("average of kinds", *_cells(comparison.average))
    table.add_row("all questions", *_cells(comparison.overall))
    return table


def _cells(difference: "Difference") -> Iterator[str]:
    yield str(difference.num_questions)
    yield f"{difference.baseline:.1f}"
    yield f"{difference.accuracy:.1f}"
    yield f"{difference.difference:+.1f}"
    yield _interval(difference.question_interval)
    yield _interval(difference.seed_interval) if difference.seed_interval else "one seed"
    yield f"{difference.adjusted_p:.4f}"


def _interval(interval: "Interval") -> str:
    return escape(f"[{interval[0]:+.1f}, {interval[1]:+.1f}]")
