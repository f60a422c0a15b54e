"""Marks added up by group, and the ratios and metrics that follow from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from asvr.evaluation.benchmark import Mark, Protocol, Ratios


class Sums(NamedTuple):
    """Sums of marks, one row per group and one column per ratio; metrics need no more of the answers.

    Args:
        groups: Names of the rows.
        ratios: Names of the columns.
        values: What stands above the line.
        counts: What stands below it.
    """

    groups: list[str]
    ratios: list[str]
    values: Float[np.ndarray, "groups ratios"]
    counts: Float[np.ndarray, "groups ratios"]


def add_up(marks: Iterable[Mark]) -> Sums:
    """Adds up marks; groups and ratios come in the order of their first mark."""
    kept = list(marks)
    groups = {name: row for row, name in enumerate(dict.fromkeys(mark.group for mark in kept))}
    ratios = {name: column for column, name in enumerate(dict.fromkeys(mark.ratio for mark in kept))}
    places = ([groups[mark.group] for mark in kept], [ratios[mark.ratio] for mark in kept])
    values, counts = np.zeros((len(groups), len(ratios))), np.zeros((len(groups), len(ratios)))
    np.add.at(values, places, [mark.value for mark in kept])
    np.add.at(counts, places, [mark.count for mark in kept])
    return Sums(list(groups), list(ratios), values, counts)


def divide(
    ratios: Sequence[str], values: Float[np.ndarray, "*some ratios"], counts: Float[np.ndarray, "*some ratios"]
) -> dict[str, Float[np.ndarray, "*some"]]:
    """Gives each ratio by its name; NaN where nothing was counted.

    Args:
        ratios: Names of the columns.
        values: Sums above the line, of one or of many resamples.
        counts: Sums below it.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        quotients = np.where(counts > 0, values / counts, np.nan)
    return {name: quotients[..., column] for column, name in enumerate(ratios)}


def measure(
    protocol: Protocol, metric: str, ratios: Mapping[str, Float[np.ndarray, "*some"]]
) -> Float[np.ndarray, "*some"]:
    """Gives a metric in percent; NaN where a ratio that it needs was not counted."""
    return apply(protocol.metrics[metric], ratios)


def apply(
    metric: Callable[[Ratios], Float[np.ndarray, "..."]], ratios: Mapping[str, Float[np.ndarray, "*some"]]
) -> Float[np.ndarray, "*some"]:
    """Gives a metric, as `measure` does, from its function."""
    shape = next(iter(ratios.values())).shape if ratios else ()
    missing = np.full(shape, np.nan)
    return np.asarray(metric(_Known(ratios, missing)))


class _Known(dict[str, np.ndarray]):
    """Ratios by name, where one that no question counted in is NaN."""

    def __init__(self, ratios: Mapping[str, np.ndarray], missing: np.ndarray) -> None:
        super().__init__(ratios)
        self.missing = missing

    def __missing__(self, name: str) -> np.ndarray:
        return self.missing
