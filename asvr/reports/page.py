"""Shows a study to its readers: `report.html`, and a short table for the terminal."""

from pathlib import Path
from typing import Any

from jinja2 import Environment
from rich.console import Group
from rich.table import Table
from rich.text import Text

from asvr.reports import examples, figures, mechanism, method, summary
from asvr.reports.pictures import data_uri
from asvr.reports.results import Study, read_study
from asvr.reports.style import arm_colours
from asvr.reports.templates import environment

REPORT = "report.html"


def write_report(study_folder: Path) -> Path:
    """Writes the page of a finished study, which needs no other file and no network.

    Args:
        study_folder: See `read_study` for what it holds.

    Returns:
        The page, `report.html` in the folder.

    Raises:
        FileNotFoundError: If a part that every study has is missing, or a picture.
        ValueError: If a file is broken.
    """
    study = read_study(study_folder)
    page = _environment(study).get_template("page.html").render(_content(study))
    path = study_folder / REPORT
    path.write_text(page, encoding="utf-8")
    return path


def terminal_table(study_folder: Path) -> Group:
    """Makes what the terminal shows at the end of a study: a row per arm, and the verdicts in words.

    Raises:
        FileNotFoundError: If a part that every study has is missing.
        ValueError: If a file is broken.
    """
    study = read_study(study_folder)
    table = Table("arm", title=Text(study.about["title"]), box=None, pad_edge=False)
    for heading in ("average, % right", "difference", "95 % interval", "training"):
        table.add_column(heading, justify="right")
    for arm, cell in zip(study.arms, summary.average_row(study).cells, strict=True):
        comparison = summary.comparison_of(study, arm)
        difference = _difference_cells(comparison["average"]) if comparison else ("baseline", "")
        spread = "" if cell.deviation is None else f" ± {cell.deviation:.1f}"
        table.add_row(Text(arm.name), f"{cell.mean:.1f}{spread}", *difference, f"{summary.mean_seconds(arm):.0f} s")
    verdicts = [Text(f"• {comparison['average']['verdict']}") for comparison in study.comparisons]
    verdicts += [Text(f"• At equal time, {comparison['average']['verdict']}") for comparison in study.equal_time]
    return Group(table, Text(), *verdicts)


def _difference_cells(difference: Any) -> tuple[str, Text]:
    interval = summary.in_words(summary.wider_interval(difference))
    return f"{difference['difference']:+.1f} points", Text(interval)


def _environment(study: Study) -> Environment:
    return environment(
        {"picture": lambda name: data_uri(study.picture(name)), "interval": summary.in_words, "duration": _duration}
    )


def _content(study: Study) -> dict[str, Any]:
    supervised = mechanism.arms_with_visual_loss(study)
    return {
        "study": study,
        "about": study.about,
        "colours": arm_colours([arm.name for arm in study.arms]),
        "num_questions": len(study.baseline.runs[0].answers),
        "num_pictures": method.num_pictures(study),
        "samples": examples.samples(study),
        "rows": summary.kind_rows(study),
        "average": summary.average_row(study),
        "comparisons": [summary.comparison_of(study, arm) for arm in study.arms],
        "seconds": [summary.mean_seconds(arm) for arm in study.arms],
        "differing": examples.differing(study),
        "maps": mechanism.code_maps(study),
        "field_rows": method.recipe_differences(study),
        "stage_rows": method.stage_rows(study),
        "commands": method.commands(study),
        "supervised": supervised,
        **_figures(study),
    }


def _figures(study: Study) -> dict[str, Any]:
    limit = summary.widest(study.comparisons)
    supervised = mechanism.arms_with_visual_loss(study)
    return {
        "text_losses": [figures.text_loss(study, stage.name) for stage in study.baseline.runs[0].stages],
        "visual_losses": [
            figure
            for arm in supervised
            for name in arm.runs[0].supervision
            for figure in figures.visual_losses(arm, name, num_codes=mechanism.num_codes(arm))
        ],
        "differences": [figures.differences(study, each, limit=limit) for each in study.comparisons],
        "probes": figures.probes(study.probes) if study.probes else None,
        "reconstructions": list(filter(None, (figures.reconstruction(arm) for arm in supervised))),
    }


def _duration(seconds: float) -> str:
    """Writes seconds as a reader would say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
