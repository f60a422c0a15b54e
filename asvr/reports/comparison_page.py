"""Shows a comparison to its readers: one HTML file that needs no other file and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asvr.reports.forest import WIDEST, forest, is_known, left_out
from asvr.reports.style import arm_colours
from asvr.reports.summary import LEVEL, sign
from asvr.reports.templates import environment

Content = Mapping[str, Any]
"""What `asvr compare --out` writes, read again."""


def write_comparison_page(path: Path, content: Content) -> None:
    """Writes the page of a comparison.

    Args:
        path: File to write; its folder is made.
        content: What `write_comparisons` writes, as plain values.

    Raises:
        ValueError: If nothing is compared.
    """
    comparisons = content["comparisons"]
    if not comparisons:
        raise ValueError("Nothing is compared, so there is no page to write. Give a baseline and at least one arm.")
    names = [comparisons[0]["baseline"], *(each["arm"] for each in comparisons)]
    colours = arm_colours(names)
    template = environment(
        {"interval": _interval, "points": _points, "p_value": _p_value, "detectable": _detectable}
    ).get_template("comparison_page.html")
    page = template.render(
        names=names,
        sign=sign,
        colours=colours,
        level=LEVEL,
        about=content["about"],
        benchmarks=_benchmarks(content["about"]),
        versions=_versions(content["about"]),
        warnings=_warnings(content["about"]),
        comparisons=comparisons,
        forests=[_forest(each, colours[each["arm"]]) for each in comparisons],
        left_out=[_left_out(each, colours[each["arm"]]) for each in comparisons],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _forest(comparison: Content, colour: str) -> str:
    rows = {"average": comparison["average"], **comparison["categories"]}
    return forest(rows, title=comparison["arm"], baseline=comparison["baseline"], colour=colour)


def _left_out(comparison: Content, colour: str) -> str:
    rows = comparison["leave_one_out"]
    if not rows:
        return ""
    return left_out(comparison["average"], rows, baseline=comparison["baseline"], colour=colour)


def _points(value: float) -> str:
    """Writes a difference; a zero has no sign before it that says otherwise."""
    return f"{round(value, 1) + 0.0:+.1f}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _interval(interval: Sequence[float]) -> str:
    return "too few" if tuple(interval) == WIDEST else f"[{_points(interval[0])}, {_points(interval[1])}]"


def _detectable(difference: Content) -> str:
    """Writes what could have been found; where no interval could be drawn, that is not known."""
    value = difference["smallest_detectable"]
    return "–" if not is_known(difference) else "> 100" if value > WIDEST[1] else f"{value:.1f}"


def _warnings(about: Content) -> list[str]:
    """Says what a reader must know before the numbers: what is missing, only a part, or was asked otherwise."""
    parts = {name: each["limit"] for name, each in _benchmarks(about).items() if each["limit"] is not None}
    templates = {tuple(hashes) for hashes in about.get("chat_templates", {}).values()}
    lacking = "; ".join(f"{name} (not in {', '.join(arms)})" for name, arms in about.get("lacking", {}).items())
    warnings = [f"Not compared, since some results lack it: {lacking}."] if lacking else []
    warnings += [f"{key} could not be measured on these questions." for key in about.get("unmeasured", [])]
    if parts:
        limits = ", ".join(f"{name} (the first {limit})" for name, limit in parts.items())
        warnings.append(f"Only a part of the questions was put: {limits}. The scores are not those of the benchmarks.")
    if len(templates) > 1:
        warnings.append("The arms were asked with different chat templates, which is part of any difference.")
    return warnings


def _benchmarks(about: Content) -> Mapping[str, Content]:
    return about.get("benchmarks", {})


def _versions(about: Content) -> dict[str, list[str]]:
    """Gives the versions of the software that made the answers, by name; several where runs differ."""
    found: dict[str, dict[str, None]] = {}
    for benchmark in _benchmarks(about).values():
        for runs in benchmark["headers"].values():
            for header in runs.values():
                for name, version in header["versions"].items():
                    found.setdefault(name, {})[version] = None
    return {name: list(versions) for name, versions in found.items()}
