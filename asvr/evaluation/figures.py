"""One figure of two arms, drawn again many times over other questions: what every difference is made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from asvr.evaluation.benchmark import Ratios
from asvr.evaluation.comparison import UNKNOWN, Difference
from asvr.evaluation.statistics import bootstrap_p, draw_groups, percentile_interval, t_interval
from asvr.evaluation.sums import apply, divide
from asvr.evaluation.tally import Tally

MIN_GROUPS = 10
"""Fewest groups of questions from which an interval is drawn; a bootstrap over fewer is far too sure of itself."""

Metric = Callable[[Ratios], Float[np.ndarray, "..."]]

_DECIMALS = 9
"""Differences, in points, are rounded here, so that sums in another order do not turn a zero into 1e-15."""

_FLOATS = 4_000_000
"""Numbers held at once while groups are drawn, about 32 MB, so that memory does not grow with the resamples."""


class Figure(NamedTuple):
    """One figure of two arms, in percent.

    Args:
        baseline: The baseline's, by seed.
        accuracy: The other arm's.
        resampled: Their difference, mean over seeds, in every resample; NaN where a ratio counted nothing.
        num_questions: Questions it rests on.
        num_groups: Groups of questions it rests on: of those ratios that it is made of, the fewest.
    """

    baseline: dict[str, float]
    accuracy: dict[str, float]
    resampled: Float[np.ndarray, " resamples"]
    num_questions: int
    num_groups: int


def resample(
    counted: Tally,
    metrics: Mapping[str, Metric],
    *,
    num_questions: Mapping[str, int],
    resamples: int,
    seed: int | Sequence[int],
) -> dict[str, Figure]:
    """Measures two arms, and draws groups of questions with replacement to see how their difference varies.

    A resample draws the same groups for both arms and all seeds; a metric is computed for each run and then averaged
    over seeds. Groups with equal sums in every run are one row with a multiplicity, drawn by a multinomial: the same
    distribution as drawing groups one by one, in a time that does not grow with the answers.

    Args:
        counted: Sums of both arms.
        metrics: From ratios to percent, by name.
        num_questions: Questions that each metric rests on.
        resamples: How often to draw.
        seed: Decides the draws.
    """
    used = {name: _ratios_of(metric, counted.ratios) for name, metric in metrics.items()}
    kept = [column for column, ratio in enumerate(counted.ratios) if any(ratio in each for each in used.values())]
    ratios = [counted.ratios[column] for column in kept]
    sums = np.stack([counted.values[..., kept], counted.counts[..., kept]])
    shape = (*sums.shape[:3], len(kept))
    rows, multiplicities = np.unique(np.moveaxis(sums, 3, 0).reshape(sums.shape[3], -1), axis=0, return_counts=True)

    def measure_all(weights: Float[np.ndarray, "draws rows"]) -> dict[str, Float[np.ndarray, "draws arms=2 seeds"]]:
        drawn = (weights @ rows).reshape(len(weights), *shape)
        quotients = divide(ratios, drawn[:, 0], drawn[:, 1])
        return {name: apply(metric, quotients) for name, metric in metrics.items()}

    found = {name: values[0] for name, values in measure_all(multiplicities[None].astype(float)).items()}
    at_once = max(1, _FLOATS // sum(rows.shape))
    drawn = [measure_all(weights) for weights in draw_groups(multiplicities, resamples, seed=seed, at_once=at_once)]
    num_groups = {ratio: int((sums[1, :, :, :, place] > 0).any((0, 1)).sum()) for place, ratio in enumerate(ratios)}
    return {
        name: Figure(
            baseline=dict(zip(counted.seeds, found[name][0].tolist(), strict=True)),
            accuracy=dict(zip(counted.seeds, found[name][1].tolist(), strict=True)),
            resampled=np.concatenate([(each[name][:, 1] - each[name][:, 0]).mean(1) for each in drawn]),
            num_questions=num_questions[name],
            num_groups=min(num_groups.get(ratio, 0) for ratio in used[name]),
        )
        for name in metrics
    }


def average(figures: Sequence[Figure]) -> Figure:
    """Gives the mean of several figures, each counting the same.

    The resamples are averaged one by one. That is right for figures of one draw of questions, which vary together, and
    for those of separate draws, which do not.
    """
    first = figures[0]
    return Figure(
        baseline={seed: float(np.mean([each.baseline[seed] for each in figures])) for seed in first.baseline},
        accuracy={seed: float(np.mean([each.accuracy[seed] for each in figures])) for seed in first.accuracy},
        resampled=np.mean([each.resampled for each in figures], axis=0),
        num_questions=sum(each.num_questions for each in figures),
        num_groups=min(each.num_groups for each in figures),
    )


def difference_of(figure: Figure, *, confidence: float) -> Difference:
    """Turns a figure into a difference with its intervals; the adjusted p-value and the words come later."""
    resampled = np.round(figure.resampled, _DECIMALS)
    differences = {
        seed: round(figure.accuracy[seed] - value, _DECIMALS) + 0.0 for seed, value in figure.baseline.items()
    }
    values, several, enough = list(differences.values()), len(differences) > 1, figure.num_groups >= MIN_GROUPS
    p = bootstrap_p(resampled) if enough else 1.0
    return Difference(
        baseline=float(np.mean(list(figure.baseline.values()))),
        accuracy=float(np.mean(list(figure.accuracy.values()))),
        difference=float(np.mean(values)),
        question_interval=percentile_interval(resampled, confidence=confidence) if enough else UNKNOWN,
        seed_differences=differences,
        seed_deviation=float(np.std(values, ddof=1)) if several else None,
        seed_interval=t_interval(values, confidence=confidence) if several else None,
        p=p,
        adjusted_p=p,
        num_questions=figure.num_questions,
        num_groups=figure.num_groups,
        confidence=confidence,
    )


def in_percent(metric: Metric) -> bool:
    """Says whether a metric ends at 100. Others, such as MME's points of 2,800, repeat one that does."""
    return float(metric(_Reader((), 1.0))) < 100.5


class _Reader(Mapping[str, np.ndarray]):
    """Ratios of one value that note which of them are read."""

    def __init__(self, ratios: Sequence[str], value: float) -> None:
        self.ratios, self.value, self.read = ratios, value, set[str]()

    def __getitem__(self, ratio: str) -> np.ndarray:
        self.read.add(ratio)
        return np.full((), self.value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ratios)

    def __len__(self) -> int:
        return len(self.ratios)


def _ratios_of(metric: Metric, ratios: Sequence[str]) -> set[str]:
    """Says which ratios a metric is made of: the others need not be added up, and make more rows distinct."""
    reader = _Reader(ratios, 0.5)
    metric(reader)
    return reader.read
