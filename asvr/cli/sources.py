"""Reads `--data` and `--images` as the commands take them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asvr.data.dataset import Source


def stage_sources(data: Sequence[str], images: Sequence[str], stages: Sequence[str]) -> "dict[str, list[Source]]":
    """Turns `STAGE=FILE` and `[STAGE=]FOLDER` into the sources of each stage.

    Raises:
        ValueError: If a stage's name is unknown or missing.
    """
    from asvr.data.dataset import Source

    folders = image_folders(images, stages)
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


def unlabelled_sources(unlabelled: Path | None, images: Sequence[str], stages: Sequence[str]) -> "list[Source]":
    """Gives the source of unlabelled pictures: where the first stage's are, unless there is one folder for all."""
    from asvr.data.dataset import Source

    folders = image_folders(images, stages)
    return [Source(unlabelled, folders.get(None, folders.get(stages[0])))] if unlabelled else []


def image_folders(images: Sequence[str], stages: Sequence[str]) -> dict[str | None, Path]:
    """Turns `[STAGE=]FOLDER` into the folder of each stage; that of None serves the stages without one of their own.

    Raises:
        ValueError: If a stage is given two folders.
    """
    folders: dict[str | None, Path] = {}
    for value in images:
        stage, path = _split(value, stages)
        if stage in folders:
            of = f"the stage {stage!r}" if stage else "every stage"
            raise ValueError(
                f"--images {value}: {of} has the folder {folders[stage]} already: give one folder, above both"
            )
        folders[stage] = path
    return folders


def _split(value: str, stages: Sequence[str]) -> tuple[str | None, Path]:
    name, sign, path = value.partition("=")
    if sign and name in stages:
        return name, Path(path)
    if sign and not Path(value).exists():
        raise ValueError(f"{value}: there is no stage {name!r}; the recipe has {', '.join(stages)}")
    return None, Path(value)
