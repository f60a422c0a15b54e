"""Maps of codes: what a picture's codes are, and what the head makes of them after each stage."""

from collections.abc import Sequence
from dataclasses import dataclass

from asvr.reports.pictures import code_map, data_uri, right_codes
from asvr.reports.results import Arm, Study


@dataclass(frozen=True)
class MapRow:
    """The maps of all depths at one moment.

    Args:
        name: `target`, or when the head was asked.
        maps: A data URI per depth.
        right: Percent of codes that are right, per depth; empty for the target.
    """

    name: str
    maps: tuple[str, ...]
    right: tuple[float, ...]


@dataclass(frozen=True)
class MappedPicture:
    """A picture, as a data URI, with its maps."""

    picture: str
    rows: tuple[MapRow, ...]


@dataclass(frozen=True)
class CodeMaps:
    """Maps from one run: the first seed of the first arm that was measured."""

    arm: str
    seed: int
    pictures: tuple[MappedPicture, ...]


def code_maps(study: Study) -> CodeMaps | None:
    """Draws the code maps; None if no run was measured."""
    for arm in study.arms:
        content = arm.runs[0].reconstruction
        if content is not None:
            grid = (content["grid"][0], content["grid"][1])
            return CodeMaps(
                arm=arm.name,
                seed=arm.runs[0].seed,
                pictures=tuple(
                    MappedPicture(data_uri(study.picture(each["image"])), tuple(_rows(each, grid)))
                    for each in content["pictures"]
                ),
            )
    return None


def arms_with_visual_loss(study: Study) -> list[Arm]:
    """Gives the arms that have a visual loss."""
    return [arm for arm in study.arms if arm.runs[0].supervision]


def num_codes(arm: Arm) -> int | None:
    """Gives the number of codes per depth; None if the arm's reconstruction was not measured."""
    content = arm.runs[0].reconstruction
    return None if content is None else content["num_codes"]


def _rows(picture: dict, grid: tuple[int, int]) -> list[MapRow]:
    target: Sequence[Sequence[int]] = picture["codes"]
    rows = [MapRow("target", _maps(target, target, grid), ())]
    for moment, codes in picture["reconstructed"].items():
        share = 100 * right_codes(codes, target) / len(target)
        rows.append(MapRow(moment, _maps(codes, target, grid), tuple(share.tolist())))
    return rows


def _maps(codes: Sequence[Sequence[int]], target: Sequence[Sequence[int]], grid: tuple[int, int]) -> tuple[str, ...]:
    return tuple(
        code_map(shown, grid, target=wanted)
        for shown, wanted in zip(zip(*codes, strict=True), zip(*target, strict=True), strict=True)
    )
