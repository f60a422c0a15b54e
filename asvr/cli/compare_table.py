"""What `asvr compare` prints: a table of differences, and in words what may be concluded."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from asvr.evaluation.comparison import Comparison, Difference, Interval
    from asvr.evaluation.suite_arms import Suite


def show_records(console: Console, comparison: "Comparison", *, on: str) -> None:
    """Prints one arm beside the baseline on a file of records: a row per kind of question.

    Args:
        console: Where.
        comparison: What is printed.
        on: Name of the evaluation.
    """
    title = f"{comparison.arm} (B) beside {comparison.baseline} (A) on {on}, in percent"
    table = _table("kind of question", comparison.categories, title=title)
    table.add_row("average of kinds", *_cells(comparison.average))
    if comparison.overall:
        table.add_row("all questions", *_cells(comparison.overall))
    console.print(table)
    _say(console, f"On average over kinds of question: {comparison.average.verdict}\n")


def show_benchmarks(console: Console, comparison: "Comparison") -> None:
    """Prints one arm beside the baseline on benchmarks: headlines, their average, other metrics and the verdict.

    Args:
        console: Where.
        comparison: What is printed.
    """
    title = f"{comparison.arm} (B) beside {comparison.baseline} (A), headlines in percent"
    table = _table("benchmark", comparison.categories, title=title)
    table.add_row("average", *_cells(comparison.average))
    table.add_section()
    for name, difference in comparison.secondary.items():
        *cells, _, _ = _cells(difference)
        table.add_row(escape(name), *cells, style="dim")
    console.print(table)
    _say(console, _sides(comparison))
    _say(console, f"On average over benchmarks ({len(comparison.categories)}): {comparison.average.verdict}")
    _say(console, f"{comparison.robustness}\n")


def _sides(comparison: "Comparison") -> str:
    """Says on which benchmarks the arm is better or worse."""
    sides = {
        side: [name for name, difference in comparison.categories.items() if difference.sign == sign]
        for side, sign in (("better", 1), ("worse", -1), ("not distinguishable", 0))
    }
    named = "; ".join(f"{side} on {', '.join(names)}" for side, names in sides.items() if names)
    return f"{comparison.arm} is {named}."


def explain_columns(console: Console) -> None:
    """Says below the tables what their last columns mean."""
    _say(
        console,
        "p is corrected for the number of comparisons (Holm); a verdict needs p < 0.05 and every interval on one side "
        "of zero.\nDetectable: the true difference that so many questions and seeds find in 80 % of repetitions, "
        "before the correction.",
        style="dim",
    )


def show_what_differs(console: Console, suite: "Suite", unmeasured: tuple[str, ...]) -> None:
    """Names what a reader of a comparison must know beside the numbers: what is missing, partial or not the same."""
    for name, arms in suite.lacking.items():
        _say(console, f"Not compared: {name}, which {', '.join(arms)} lacks.")
    if unmeasured:
        _say(console, f"Not measured, since questions of a kind are missing: {', '.join(unmeasured)}.")
    limits = {name: suite.first(name).limit for name in suite.results}
    parts = [f"{name} ({limit})" for name, limit in limits.items() if limit is not None]
    if parts:
        _say(console, f"Only the first questions of {', '.join(parts)}: not the benchmark's own number.")
    templates = suite.chat_templates
    if len({tuple(sorted(hashes)) for hashes in templates.values()}) > 1:
        named = "; ".join(f"{arm} {', '.join(each[:12] for each in hashes)}" for arm, hashes in templates.items())
        _say(console, f"The arms have different chat templates: {named}.")


def _table(first: str, differences: "Mapping[str, Difference]", *, title: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(first, overflow="fold")
    for heading in ("n", "A", "B", "B - A", "95 % over\nquestions", "95 % over\nseeds", "p\n(Holm)", "detect-\nable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, difference in differences.items():
        table.add_row(escape(name), *_cells(difference), style="bold" if difference.sign else None)
    table.add_section()
    return table


def _cells(difference: "Difference") -> Iterator[str]:
    from asvr.evaluation.comparison import UNKNOWN, points

    unknown = difference.question_interval == UNKNOWN
    yield str(difference.num_questions)
    yield f"{difference.baseline:.1f}"
    yield f"{difference.accuracy:.1f}"
    yield points(difference.difference)
    yield "too few" if unknown else _interval(difference.question_interval)
    yield _interval(difference.seed_interval) if difference.seed_interval else "one seed"
    yield f"{difference.adjusted_p:.4f}"
    yield "–" if unknown else f"{difference.smallest_detectable:.1f}"


def _interval(interval: "Interval") -> str:
    from asvr.evaluation.comparison import points

    return escape(f"[{points(interval[0])}, {points(interval[1])}]")


def _say(console: Console, words: str, *, style: str | None = None) -> None:
    # In a file every sentence is one line, for those who search it.
    console.print(words, markup=False, highlight=False, style=style, soft_wrap=not console.is_terminal)
