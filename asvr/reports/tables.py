"""Shows a table of the paper beside ours: as Markdown, and in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

Content = Mapping[str, Any]
"""What `asvr reproduce` writes as `table-N.json`."""

NONE = "—"


def markdown(content: Content) -> str:
    """Writes a table with its claims and footnotes as Markdown."""
    head = ["row", "ours, % right", "difference", "paper, AVG", "difference", "s/step", "head parameters", "GFLOP/step"]
    lines = [
        f"# Table {content['table']} at laptop scale: {content['title']}",
        "",
        f"{_basis(content)} Intervals are of 95 %; a difference is to the text-only row of the same parts and data, "
        "with the wider of its intervals over questions and over seeds.",
        "",
        *_table([*head, "notes"], [_cells(row) for row in content["rows"]]),
        "",
        "`s/step` is of the runs themselves, beside whatever else the machine did: a rough figure.",
        "",
    ]
    if content["claims"]:
        lines += ["## The paper's claims", ""]
        lines += _table(["claim", "paper", "here", "verdict"], [_claim_cells(claim) for claim in content["claims"]])
        lines += ["", _caveat(content), ""]
    lines += ["## What is not the paper's", "", "In every row:", ""]
    lines += [f"* {note}" for note in content["common_notes"]]
    lines += ["", "By row:", "", *(f"{number}. {note}" for number, note in enumerate(content["notes"], start=1)), ""]
    lines += ["## Made by", "", *(f"* {_environment(each)}" for each in content["made_by"]), ""]
    return "\n".join(lines)


def terminal_table(content: Content) -> Group:
    """Makes what the terminal shows: a row per arm, and the claims in words; legible in 100 columns."""
    title = Text(f"Table {content['table']} at laptop scale: {content['title']}", style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("row", overflow="fold")
    for heading in ("ours, %", "difference", "95 %", "paper", "diff.", "s/step", "heads"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in content["rows"]:
        table.add_row(*(Text(cell) for cell in _short_cells(row)))
    claims = [Text(f"• {claim['text']}: {_short_claim(claim)}") for claim in content["claims"]]
    return Group(Text(), title, Text(_basis(content), style="dim"), table, Text(), *claims)


def _environment(made_by: Content) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in made_by["versions"].items())
    return f"commit {made_by['commit']}, Python {made_by['python']}, {packages}; {made_by['hardware']}"


def _basis(content: Content) -> str:
    seeds = content["seeds"]
    asked = f"{content['questions']} questions" if content["questions"] else "the world's questions"
    return (
        f"{seeds} seed{'s' if seeds > 1 else ''}, {asked} of the embedded world; the paper's are {content['version']}."
    )


def _caveat(content: Content) -> str:
    corrected = "p-values are corrected for the number of comparisons in this table (Holm)."
    if content["seeds"] > 1:
        return f"A verdict needs both intervals to exclude zero; {corrected}"
    return (
        f"**One seed each: the noise of training is not covered, so no verdict here is safe.** {corrected.capitalize()}"
    )


def _cells(row: Content) -> list[str]:
    comparison = row["comparison"]
    return [
        f"{row['label']} (`{row['recipe']}`)",
        f"{row['score']:.1f}{_interval(row['interval'], signed=False)}",
        _difference(comparison) if comparison else NONE,
        _number(row["paper"], ".1f"),
        _number(row["paper_difference"], "+.1f"),
        f"{row['seconds_per_step']:.2f}",
        f"{row['head_parameters']:,}" if row["head_parameters"] else NONE,
        f"{row['step_flops'] / 1e9:.1f}",
        ", ".join(map(str, sorted(row["notes"]))) or NONE,
    ]


def _short_cells(row: Content) -> list[str]:
    comparison = row["comparison"]
    return [
        row["label"],
        f"{row['score']:.1f}",
        _number(comparison["difference"], "+.1f") if comparison else NONE,
        _interval(comparison["interval"]).strip() if comparison else "",
        _number(row["paper"], ".1f"),
        _number(row["paper_difference"], "+.1f"),
        f"{row['seconds_per_step']:.2f}",
        f"{row['head_parameters'] / 1e6:.2f} M" if row["head_parameters"] else NONE,
    ]


def _claim_cells(claim: Content) -> list[str]:
    paper = _number(claim["paper_difference"], "+.1f")
    return [claim["text"], paper, _difference(claim["comparison"]), claim["verdict"]]


def _short_claim(claim: Content) -> str:
    paper, here = _number(claim["paper_difference"], "+.1f"), _difference(claim["comparison"])
    return f"paper {paper}, here {here}: {claim['verdict']}"


def _difference(comparison: Content) -> str:
    return f"{_number(comparison['difference'], '+.1f')}{_interval(comparison['interval'])}"


def _interval(interval: Sequence[float] | None, *, signed: bool = True) -> str:
    if interval is None:
        return ""
    low, high = interval
    if low <= -100 and high >= 100:
        return " [too few pictures]"
    return f" [{low:+.1f}, {high:+.1f}]" if signed else f" [{low:.1f}, {high:.1f}]"


def _number(value: float | None, form: str) -> str:
    # Adding zero turns a negative zero into a positive one.
    return NONE if value is None else format(round(value, 1) + 0.0, form)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
