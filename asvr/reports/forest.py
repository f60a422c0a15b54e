"""Figures of a comparison: differences with their intervals beside a line of no difference; all give an `<svg>`."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from asvr.reports.style import FAINT, INK, render
from asvr.reports.summary import sign, wider_interval

Figure = Mapping[str, Any]
"""A difference as `write_comparisons` writes it."""

WIDEST = (-100.0, 100.0)
"""The interval, in points, that stands for one that could not be drawn."""

_LONGEST = 2.5
"""How far the axis may go for an interval over seeds, in lengths of the farthest end over questions."""

_ROW, _AROUND = 19, 46
"""Height of a row, and of what is above and below them, in points."""


def forest(rows: Mapping[str, Figure], *, title: str, baseline: str, colour: str) -> str:
    """Draws differences with the interval over questions (thick) and, where there is one, over seeds (thin, below).

    Args:
        rows: By the name that is written beside it; the first is set apart.
        title: Above the panel.
        baseline: What is zero.
        colour: Of dots and intervals.
    """
    limit = _limit(rows)

    def draw(axes: Axes) -> None:
        _zero_line(axes, len(rows), limit=limit)
        axes.axhline(0.5, color=FAINT, linewidth=0.6)
        for place, difference in enumerate(rows.values()):
            questions, seeds = difference["question_interval"], difference["seed_interval"]
            shift = 0.13 if seeds else 0.0
            if is_known(difference):
                axes.plot(questions, [place - shift] * 2, color=colour, linewidth=2.6, solid_capstyle="butt")
            else:
                axes.annotate("too few", (limit, place - 0.05), ha="right", va="bottom", fontsize=7.5, color=INK)
            if seeds:
                axes.plot(seeds, [place + shift] * 2, color=colour, linewidth=1, solid_capstyle="butt")
            face = colour if sign(difference) else "white"
            axes.plot(difference["difference"], place - shift, "o", color=colour, markerfacecolor=face, markersize=5.5)
        _name(axes, title, list(rows), baseline)

    words = f"{title}: difference to {baseline} with its 95 % intervals, by row: {', '.join(rows)}"
    return render(draw, label=words, width=400, height=_AROUND + _ROW * len(rows))


def left_out(whole: Figure, rows: Mapping[str, Figure], *, baseline: str, colour: str) -> str:
    """Draws the difference of the average without each of its parts, on a band: the interval of the whole average.

    Args:
        whole: The average of all.
        rows: The average of the others, by the name of what is left out.
        baseline: What is zero.
        colour: Of dots and intervals.
    """
    known = [each for each in (whole, *rows.values()) if is_known(each)]
    ends = [abs(end) for each in known for end in wider_interval(each)]
    limit = 1.08 * max([*ends, *(abs(each["difference"]) for each in (whole, *rows.values())), 0.1])

    def draw(axes: Axes) -> None:
        _zero_line(axes, len(rows), limit=limit)
        axes.axvline(whole["difference"], color=INK, linewidth=1, linestyle=(0, (2, 1.5)))
        if is_known(whole):
            axes.axvspan(*wider_interval(whole), color=colour, alpha=0.1, linewidth=0)
        for place, difference in enumerate(rows.values()):
            if is_known(difference):
                axes.plot(wider_interval(difference), [place] * 2, color=colour, linewidth=1.4, solid_capstyle="butt")
            face = colour if sign(difference) else "white"
            axes.plot(difference["difference"], place, "o", color=colour, markerfacecolor=face, markersize=5.5)
        _name(axes, "Average without one", [f"without {name}" for name in rows], baseline)

    words = f"Difference of the average to {baseline}, leaving out in turn: {', '.join(rows)}"
    return render(draw, label=words, width=400, height=_AROUND + _ROW * len(rows))


def _zero_line(axes: Axes, num_rows: int, *, limit: float) -> None:
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set(xlim=(-limit, limit), ylim=(num_rows - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _name(axes: Axes, title: str, rows: Sequence[str], baseline: str) -> None:
    """Writes names as they are: a folder's name may hold what matplotlib takes for a formula."""
    axes.set_title(title, parse_math=False)
    axes.set_xlabel(f"points above {baseline}", parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)


def is_known(difference: Figure) -> bool:
    """Says whether there were enough questions for an interval over them."""
    return tuple(difference["question_interval"]) != WIDEST


def _limit(rows: Mapping[str, Figure]) -> float:
    """Gives the end of the axis: just beyond every difference and interval, if that does not dwarf the others.

    Student's interval of two seeds is often ten times the others; such a line runs to the edge.
    """
    over_questions = [end for each in rows.values() if is_known(each) for end in each["question_interval"]]
    usual = max(map(abs, [*over_questions, *(each["difference"] for each in rows.values()), 0.1]))
    over_seeds = [abs(end) for each in rows.values() for end in each["seed_interval"] or ()]
    return min(WIDEST[1], 1.08 * min(max([usual, *over_seeds]), _LONGEST * usual))
