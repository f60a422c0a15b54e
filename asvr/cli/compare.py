"""`asvr compare`: is one model better than another, on answers that are already there?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from asvr.cli.compare_table import explain_columns, show_benchmarks, show_records, show_what_differs

if TYPE_CHECKING:
    from asvr.evaluation.comparison import Comparison

Runs = Annotated[
    list[Path],
    typer.Argument(
        help="Two folders or more, the baseline's first: each of results, of a run with its evaluation/, or of "
        "seed-* runs."
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Where --show finds pictures: a folder with a folder per benchmark, or with --on the images' "
        r"\[default: benchmarks-data, or images beside the records]."
    ),
]


def compare(
    runs: Runs,
    on: Annotated[
        str | None,
        typer.Option(
            help="Compare answers to this file of records, the folder under evaluation/, by kind of question."
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Draws of the bootstrap.")] = 10_000,
    out: Annotated[Path | None, typer.Option(help="Also write the comparison to this JSON file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write it, with figures, to this HTML file.")] = None,
    show: Annotated[
        Path | None, typer.Option(help="Also write the questions answered differently, with pictures, to an HTML file.")
    ] = None,
    show_limit: Annotated[int, typer.Option(min=1, help="Most questions of a benchmark that --show shows.")] = 100,
    data_root: DataRoot = None,
) -> None:
    """Compares results on benchmarks, or answers to records, and says in words what may be concluded."""
    from asvr.evaluation.comparison import to_content, write_comparisons

    if len(runs) < 2:
        raise ValueError(f"{len(runs)} folder is given, but a comparison takes two or more, the baseline's first.")
    console = Console()
    if on is None:
        comparisons, about = _compare_benchmarks(console, runs, resamples)
    else:
        comparisons, about = _compare_records(console, runs, on, resamples)
    explain_columns(console)
    if out is not None:
        write_comparisons(out, comparisons, about=about)
        console.print(f"Written to {out}", soft_wrap=True)
    if html is not None:
        from asvr.reports.comparison_page import write_comparison_page

        write_comparison_page(html, to_content(comparisons, about=about))
        console.print(f"Page written to {html}", soft_wrap=True)
    if show is not None:
        from asvr.cli.compare_pages import show_differing

        show_differing(show, runs, on=on, data_root=data_root, limit=show_limit)
        console.print(f"Differing answers written to {show}", soft_wrap=True)


def _compare_benchmarks(
    console: Console, runs: list[Path], resamples: int
) -> tuple[list["Comparison"], dict[str, Any]]:
    from asvr.evaluation.suite_arms import describe, load_suite
    from asvr.evaluation.suite_compare import compare_suite

    suite = load_suite(runs)
    comparisons, unmeasured = compare_suite(suite, resamples=resamples)
    for comparison in comparisons:
        show_benchmarks(console, comparison)
    show_what_differs(console, suite, unmeasured)
    return comparisons, {**describe(suite), "unmeasured": list(unmeasured), "resamples": resamples}


def _compare_records(
    console: Console, runs: list[Path], on: str, resamples: int
) -> tuple[list["Comparison"], dict[str, Any]]:
    from asvr.evaluation.arms import load_arms
    from asvr.evaluation.compare import compare_all

    baseline, *others = load_arms(runs, on=on)
    comparisons = compare_all(baseline, others, resamples=resamples)
    for comparison in comparisons:
        show_records(console, comparison, on=on)
    return comparisons, {
        "evaluation": on,
        "prompt_hash": baseline.prompt_hash,
        "resamples": resamples,
        "runs": {arm.name: str(path.resolve()) for arm, path in zip((baseline, *others), runs, strict=True)},
        "seeds": list(baseline.runs),
    }
