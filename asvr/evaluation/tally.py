"""Sums of two arms over the same groups of questions: all that a comparison needs of their answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.benchmark import Mark
from asvr.evaluation.score import category_of, correct
from asvr.evaluation.sums import Sums

EVERY = ""
"""The ratio that every question of a record file counts in; no category is called so."""


class Tally(NamedTuple):
    """Sums of every run, one row per group and one column per ratio.

    Args:
        seeds: Names of the runs.
        ratios: Names of the columns.
        values: What stands above the line; the baseline's runs come first, then the arm's.
        counts: What stands below it.
    """

    seeds: list[str]
    ratios: list[str]
    values: Float[np.ndarray, "arms=2 seeds groups ratios"]
    counts: Float[np.ndarray, "arms=2 seeds groups ratios"]


def tally(baseline: Mapping[str, Sums], arm: Mapping[str, Sums]) -> Tally:
    """Puts the sums of two arms side by side.

    Args:
        baseline: Sums of the baseline's runs, by seed.
        arm: Of the other arm's, of the same questions with the same seeds. A ratio may count answers instead of
            questions, such as the "yes" of a precision; where one run has counted nothing, it has zeros.
    """
    seeds = list(baseline)
    runs = [[side[seed] for seed in seeds] for side in (baseline, arm)]
    groups = sorted({group for side in runs for run in side for group in run.groups})
    ratios = sorted({ratio for side in runs for run in side for ratio in run.ratios})
    aligned = np.array([[_align(run, groups, ratios) for run in side] for side in runs])
    return Tally(seeds, ratios, aligned[:, :, 0], aligned[:, :, 1])


def _align(sums: Sums, groups: Sequence[str], ratios: Sequence[str]) -> Float[np.ndarray, "parts=2 groups ratios"]:
    rows = {group: row for row, group in enumerate(groups)}
    columns = {ratio: column for column, ratio in enumerate(ratios)}
    places = np.ix_([rows[group] for group in sums.groups], [columns[ratio] for ratio in sums.ratios])
    aligned = np.zeros((2, len(groups), len(ratios)))
    for part, given in zip(aligned, (sums.values, sums.counts), strict=True):
        part[places] = given
    return aligned


def mark_records(answers: Sequence[Answer]) -> Iterable[Mark]:
    """Marks every answer to a record, in `EVERY` and in its category.

    A group is all questions about the same pictures; a question about none is a group by itself.
    """
    for answer in answers:
        group = "\n".join(answer.images) or answer.id
        right = float(correct(answer.answer, answer.reference))
        yield Mark(EVERY, group, right)
        yield Mark(category_of(answer), group, right)
