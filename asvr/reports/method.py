"""How a study was made: what sets its recipes apart, its data, and its sizes."""

import shlex
from dataclasses import dataclass
from typing import Any

from asvr.reports.results import Study

ABSENT = "–"
_NAMES = ("name", "source")


@dataclass(frozen=True)
class FieldRow:
    """A field in which the arms' recipes differ.

    Args:
        field: Its path, in a stage or in the recipe.
        stages: Names of the stages in which the arms have these values; empty for a field of the whole recipe.
        values: Of each arm; a list's items stand on lines of their own.
    """

    field: str
    stages: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class StageRow:
    """Sizes of one stage of one arm, in the first seed."""

    arm: str
    stage: str
    steps: int
    seconds: float
    trained_parameters: int
    images: int
    text_tokens: int
    visual_tokens: int
    supervised_tokens: int


def recipe_differences(study: Study) -> list[FieldRow]:
    """Lists the fields in which the arms' recipes differ, but for their names."""
    recipes = [arm.runs[0].fields for arm in study.arms]
    stages: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path in dict.fromkeys(path for recipe in recipes for path in recipe if path not in _NAMES):
        values = tuple(_words(recipe.get(path, ABSENT)) for recipe in recipes)
        if len(set(values)) > 1:
            stage, field = _split(path)
            stages.setdefault((field, values), []).append(stage)
    return [FieldRow(field, ", ".join(filter(None, names)), values) for (field, values), names in stages.items()]


def _split(path: str) -> tuple[str, str]:
    """Takes the stage's name, if there is one, from a field's path."""
    first, *rest = path.split(".")
    return (rest[0], ".".join(rest[1:])) if first == "stages" else ("", path)


def stage_rows(study: Study) -> list[StageRow]:
    """Lists the sizes of every stage of every arm."""
    return [
        StageRow(
            arm=arm.name,
            stage=stage.name,
            steps=stage.steps,
            seconds=stage.seconds,
            trained_parameters=sum(stage.trained_parameters.values()),
            images=stage.tokens["images"],
            text_tokens=stage.tokens["text_tokens"],
            visual_tokens=stage.tokens["visual_tokens"],
            supervised_tokens=stage.tokens["supervised_tokens"],
        )
        for arm in study.arms
        for stage in arm.runs[0].stages
    ]


def commands(study: Study) -> list[str]:
    """Gives the commands that made the study and that compare any two of its arms."""
    about, made = study.about, study.about["provenance"]["command"]
    lines = [shlex.join([made[0].rsplit("/", 1)[-1], *made[1:]])]
    if len(study.arms) > 1:
        folders = [str(study.folder / arm.name) for arm in study.arms]
        lines.append(shlex.join(["asvr", "compare", *folders, "--on", about["on"]]))
    return lines


def num_pictures(study: Study) -> int:
    """Counts the pictures that the questions are about."""
    return len({image for record in study.baseline.runs[0].answers for image in record["images"]})


def _words(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
