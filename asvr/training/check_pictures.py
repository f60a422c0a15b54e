"""Opens every picture once before training: can it be read, and does a stage that reads cached codes find its own?"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL.Image import Image
from rich.progress import Progress
from torch import Tensor

from asvr.data.images import open_image
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import CodesSpec
from asvr.targets.cache import NotCached
from asvr.training.stage import StageInputs

IMAGES_AT_ONCE = 1024

Lookup = Callable[[Image], Tensor]


def check_pictures(
    recipe: Recipe, inputs: Mapping[str, StageInputs], grid: tuple[int, int], *, progress: bool, skip_bad: bool
) -> dict[str, str]:
    """Opens each picture of some stages once, and looks it up in the stores of codes that its stages use.

    Args:
        recipe: What is to be trained.
        inputs: What the stages read, by their names.
        grid: Rows and columns of the model's visual tokens.
        progress: Whether to draw a progress bar.
        skip_bad: Whether to go on where a picture cannot be read.

    Returns:
        What is wrong, by path; nothing unless `skip_bad`.

    Raises:
        ValueError: If a picture cannot be read and `skip_bad` is not set, or if a store has no codes of some.
    """
    shown_by: dict[str, str] = {}
    lookups: dict[str, list[Lookup]] = {}
    for name, given in inputs.items():
        in_stores = list(_lookups(recipe.stage(name), grid))
        for one in (*given.conversations, *given.companions):
            for path in one.images:
                shown_by.setdefault(path, one.id)
                known = lookups.setdefault(path, [])
                known += [lookup for lookup in in_stores if lookup not in known]
    faults: dict[str, str] = {}
    not_cached: list[str] = []
    for path, fault in _faults(shown_by, lookups, progress=progress):
        if isinstance(fault, NotCached):
            not_cached.append(f"{path}, record {shown_by[path]!r}: {fault}")
        elif not skip_bad:
            raise fault
        else:
            faults[path] = str(fault)
    if not_cached:
        raise ValueError(
            f"{len(not_cached)} of {len(shown_by)} pictures have no cached codes. The first: {not_cached[0]}"
        )
    return faults


def _lookups(stage: Stage, grid: tuple[int, int]) -> Iterator[Lookup]:
    for term in stage.supervision.values():
        if isinstance(term.target, CodesSpec) and term.target.cache is not None:
            yield term.target.load(grid).prepare


def _faults(
    shown_by: Mapping[str, str], lookups: Mapping[str, list[Lookup]], *, progress: bool
) -> Iterator[tuple[str, ValueError]]:
    paths = list(shown_by)
    with ThreadPoolExecutor() as pool, Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("opening images", total=len(paths))
        for start in range(0, len(paths), IMAGES_AT_ONCE):
            part = paths[start : start + IMAGES_AT_ONCE]
            found = pool.map(lambda path: _fault(path, shown_by[path], lookups[path]), part)
            for path, fault in zip(part, found, strict=True):
                bar.advance(task)
                if fault is not None:
                    yield path, fault


def _fault(path: str, record: str, lookups: list[Lookup]) -> ValueError | None:
    try:
        image = open_image(Path(path), record=record)
        for lookup in lookups:
            lookup(image)
    except ValueError as error:
        return error
    return None
