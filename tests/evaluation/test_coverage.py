"""Simulations: intervals cover the truth in 95 % of cases, and what is said to be detectable is detected."""

from collections.abc import Callable

import numpy as np
import pytest

from asvr.evaluation.benchmark import percent
from asvr.evaluation.figures import Figure, average, difference_of, resample
from asvr.evaluation.tally import Tally

SIMULATIONS = 300
TOLERANCE = 3 * (0.95 * 0.05 / SIMULATIONS) ** 0.5
"""Three deviations of a share of 95 % among so many: 3.8 points."""


def _figure(values: np.ndarray, counts: np.ndarray, *, seed: int) -> Figure:
    """One ratio of two arms with one seed; arrays are arms x groups."""
    counted = Tally(["single"], ["ratio"], values[:, None, :, None], counts[:, None, :, None])
    metrics = {"ratio": percent("ratio")}
    return resample(counted, metrics, num_questions={"ratio": 0}, resamples=500, seed=seed)["ratio"]


def _mean(generator: np.random.Generator, seed: int) -> Figure:
    """120 pictures with one to three questions; a picture is easy or hard for both, and B is right 10 % more often."""
    ease, sizes = generator.uniform(0.2, 0.7, 120), generator.integers(1, 4, 120)
    values = generator.binomial(sizes, np.stack([ease, ease + 0.1])).astype(float)
    return _figure(values, np.stack([sizes, sizes]).astype(float), seed=seed)


def _pairs(generator: np.random.Generator, seed: int) -> Figure:
    """150 pairs as in MMVP: both of two questions must be right, each with p in 0.4 to 0.8, or 0.1 more for B.

    (p + 0.1)^2 - p^2 = 0.2 p + 0.01, which is 0.13 for the mean p.
    """
    ease = generator.uniform(0.4, 0.8, (150, 1))
    right = generator.random((2, 150, 2)) < np.stack([ease, ease + 0.1])
    return _figure(right.all(2).astype(float), np.ones((2, 150)), seed=seed)


def _f1(generator: np.random.Generator, seed: int) -> Figure:
    """200 pictures with a yes and a no question; A finds 80 % with 30 % false alarms, B 85 % with 25 %.

    F1 is 2 x 0.8 / (0.8 + 0.3 + 1) for A and 2 x 0.85 / (0.85 + 0.25 + 1) for B.
    """
    draws = generator.random((200, 2))
    found, alarm = (
        draws[:, column] < np.array(rates)[:, None] for column, rates in enumerate([(0.8, 0.85), (0.3, 0.25)])
    )
    return _figure(2.0 * found, found + 1.0 + alarm, seed=seed)


def _average(generator: np.random.Generator, seed: int) -> Figure:
    """The mean of the three, drawn separately."""
    return average([make(generator, seed + 10**6 * k) for k, make in enumerate((_mean, _pairs, _f1))])


F1_GAIN = 100 * (1.7 / 2.1 - 1.6 / 2.1)


@pytest.mark.parametrize(
    ("make", "truth"),
    [(_mean, 10.0), (_pairs, 13.0), (_f1, F1_GAIN), (_average, (23 + F1_GAIN) / 3)],
    ids=["mean of groups", "pairs", "F1", "average"],
)
def test_the_interval_covers_the_truth_in_95_of_100_cases(
    make: Callable[[np.random.Generator, int], Figure], truth: float
):
    generator, covered = np.random.default_rng(0), 0
    for seed in range(SIMULATIONS):
        low, high = difference_of(make(generator, seed), confidence=0.95).question_interval
        covered += low <= truth <= high
    assert covered / SIMULATIONS == pytest.approx(0.95, abs=TOLERANCE)


def test_a_detectable_difference_is_found_in_80_of_100_cases():
    generator, num_questions = np.random.default_rng(0), 1000
    # Where a tenth of the answers differ, the error of the difference is 100 sqrt(0.1 / 1000) = 1 point (nearly, since
    # its square is not taken off), so 1.96 + 0.84 = 2.8 points are found four times in five.
    detectable, found = [], 0
    for seed in range(SIMULATIONS):
        won, lost = generator.multinomial(num_questions, [0.05 + 0.014, 0.05 - 0.014, 0.9])[:2]
        values = np.zeros((2, num_questions))
        values[1, :won], values[0, won : won + lost] = 1, 1
        difference = difference_of(_figure(values, np.ones_like(values), seed=seed), confidence=0.95)
        detectable.append(difference.smallest_detectable)
        found += difference.sign == 1
    assert np.mean(detectable) == pytest.approx(2.8, rel=0.03)
    # Three deviations of a share of 80 %.
    assert found / SIMULATIONS == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / SIMULATIONS) ** 0.5)
