"""Reads `--data` and `--images` as the commands take them."""

from collections.abc import Sequence
from pathlib import Path

from asvr.data.dataset import Source


def stage_sources(data: Sequence[str], images: Sequence[str], stages: Sequence[str]) -> dict[str, list[Source]]:
    """Turns `STAGE=FILE` and `[STAGE=]FOLDER` into the sources of each stage.

    Raises:
        ValueError: If a stage's name is unknown or missing.
    """
    folders = dict(_split(value, stages) for value in images)
    sources: dict[str, list[Source]] = {}
    for value in data:
        stage, path = _split(value, stages)
        if stage is None:
            if len(stages) != 1:
                raise ValueError(
                    f"--data {value}: the recipe has the stages {', '.join(stages)}: say which, as --data "
                    f"{stages[0]}={value}"
                )
            stage = stages[0]
        sources.setdefault(stage, []).append(Source(path, folders.get(stage, folders.get(None))))
    return sources


def _split(value: str, stages: Sequence[str]) -> tuple[str | None, Path]:
    name, sign, path = value.partition("=")
    if sign and name in stages:
        return name, Path(path)
    if sign and not Path(value).exists():
        raise ValueError(f"{value}: there is no stage {name!r}; the recipe has {', '.join(stages)}")
    return None, Path(value)
