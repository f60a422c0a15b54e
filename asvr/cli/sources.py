"""Reads `--data`, `--images` and `--data-root` as the commands take them."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asvr.data.dataset import Source
    from asvr.recipes.spec import Recipe, Stage


def stage_sources(
    data: Sequence[str], images: Sequence[str], recipe: "Recipe", *, root: Path | None = None
) -> "dict[str, list[Source]]":
    """Turns `STAGE[/NAME]=FILE` and `[STAGE[/NAME]=]FOLDER` into the sources of each stage.

    Args:
        data: Files of records; a name says of which data set of the stage's mixture a file is a copy.
        images: Folders of their pictures.
        recipe: Has the stages.
        root: Folder with local copies, as `asvr.data.published` lays them out, of what `data` does not name.

    Raises:
        FileNotFoundError: If a copy is not under `root`.
        ValueError: If the name of a stage or data set is unknown, or a stage's is missing.
    """
    from asvr.data.dataset import Source

    folders = image_folders(images, recipe)
    sources: dict[str, list[Source]] = {}
    for value in data:
        place, path = _split(value, recipe)
        if place is None:
            stages = [stage.name for stage in recipe.stages]
            if len(stages) != 1:
                raise ValueError(
                    f"--data {value}: the recipe has the stages {', '.join(stages)}: say which, as --data "
                    f"{stages[0]}={value}"
                )
            place = stages[0]
        stage, _, name = place.partition("/")
        folder = folders.get(place, folders.get(stage, folders.get(None)))
        sources.setdefault(stage, []).append(Source(path, folder, name))
    if root is not None:
        for stage in recipe.stages:
            given = sources.setdefault(stage.name, [])
            # Data of the user's own takes the place of the whole mixture.
            if not given or any(source.name for source in given):
                given += _local_copies(stage, root, folders, without={source.name for source in given})
    return sources


def _local_copies(
    stage: "Stage", root: Path, folders: Mapping[str | None, Path], *, without: set[str]
) -> "list[Source]":
    from asvr.data.dataset import Source
    from asvr.data.manifest import MANIFEST

    names = [share.name for share in stage.mixture if share.name not in without]
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder. Give the one above your copies of {', '.join(names)}.")
    copies = []
    for name in names:
        published = MANIFEST[name]
        file, pictures = root / name / published.file, root / name / published.images if published.images else None
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file, but stage {stage.name!r} reads {published.title} there. `asvr data list "
                f"{name}` says how to get it; or give --data {stage.name}/{name}=FILE."
            )
        copies.append(Source(file, folders.get(f"{stage.name}/{name}", pictures), name))
    return copies


def unlabelled_sources(unlabelled: Path | None, images: Sequence[str], recipe: "Recipe") -> "list[Source]":
    """Gives the source of unlabelled pictures: where the first stage's are, unless there is one folder for all."""
    from asvr.data.dataset import Source

    folders = image_folders(images, recipe)
    folder = folders.get(None, folders.get(recipe.stages[0].name))
    return [Source(unlabelled, folder, "unlabelled")] if unlabelled else []


def image_folders(images: Sequence[str], recipe: "Recipe") -> dict[str | None, Path]:
    """Turns `[STAGE[/NAME]=]FOLDER` into folders by `STAGE` or `STAGE/NAME`; that of None serves all without their own.

    Raises:
        ValueError: If a stage or data set is given two folders.
    """
    folders: dict[str | None, Path] = {}
    for value in images:
        place, path = _split(value, recipe)
        if place in folders:
            of = f"the stage {place!r}" if place else "every stage"
            raise ValueError(
                f"--images {value}: {of} has the folder {folders[place]} already: give one folder, above both"
            )
        folders[place] = path
    return folders


def refuse_idle_folders(images: Sequence[str], recipe: "Recipe") -> None:
    """Refuses folders of whole stages where every source has its own, as all under `--data-root` have.

    Raises:
        ValueError: If there is one.
    """
    for place, folder in image_folders(images, recipe).items():
        if "/" not in (place or ""):
            raise ValueError(
                f"--images {folder} would change nothing, since with --data-root the pictures are where the manifest "
                "says: leave it out, or write --images STAGE/NAME=FOLDER"
            )


def _split(value: str, recipe: "Recipe") -> tuple[str | None, Path]:
    place, sign, path = value.partition("=")
    mixtures = {stage.name: [share.name for share in stage.mixture] for stage in recipe.stages}
    stage, slash, name = place.partition("/")
    if sign and (place in mixtures or (slash and name in mixtures.get(stage, ()))):
        return place, Path(path)
    if not sign or Path(value).exists():
        return None, Path(value)
    if stage not in mixtures:
        raise ValueError(f"{value}: there is no stage {stage!r}; the recipe has {', '.join(mixtures)}")
    near = difflib.get_close_matches(name, mixtures[stage], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it reads {', '.join(mixtures[stage])}"
    raise ValueError(f"{value}: stage {stage!r} reads no data set {name!r}: {hint}")
