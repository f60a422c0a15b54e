"""Is one arm better than another? Differences with intervals over questions and over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from asvr.evaluation.arms import Arm, check_comparable
from asvr.evaluation.comparison import Comparison, Difference, put_in_words
from asvr.evaluation.statistics import bootstrap, bootstrap_p, holm, percentile_interval, t_interval
from asvr.evaluation.tally import tally

MIN_GROUPS = 10
"""Fewest groups of questions from which an interval is drawn; a bootstrap over fewer is far too sure of itself."""

_DECIMALS = 9
"""Differences, in points, are rounded here, so that sums in another order do not turn a zero into 1e-15."""


def compare(a: Arm, b: Arm, *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95) -> Comparison:
    """Compares an arm `b` with a baseline `a`; see `compare_all`."""
    return compare_all(a, [b], resamples=resamples, seed=seed, confidence=confidence)[0]


def compare_all(
    baseline: Arm, others: Sequence[Arm], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> list[Comparison]:
    """Compares several arms with a baseline.

    An arm is called better or worse only if every interval excludes zero (over questions, and with several seeds over
    seeds) and the p-value is still below the level after Holm's correction. The correction counts the arms of the
    table for the average and for the overall figure, and arms times categories for the categories.

    Args:
        baseline: What the others are compared with.
        others: Arms that answered the same questions with the same seeds.
        resamples: Draws of the bootstrap.
        seed: Decides the draws; they are the same for every arm.
        confidence: Of the intervals; one minus it is the level of the tests.

    Raises:
        ValueError: If the arms cannot be compared, or a number is out of range.
    """
    if resamples < 100 or not 0.5 <= confidence < 1:
        raise ValueError(
            f"{resamples} resamples with confidence {confidence} give no interval. Use at least 100, and 0.5 up to 1."
        )
    raw = [_compare(baseline, arm, resamples=resamples, seed=seed, confidence=confidence) for arm in others]
    averages = _adjust([item.average for item in raw])
    overalls = _adjust([item.overall for item in raw])
    by_category = iter(_adjust([difference for item in raw for difference in item.categories.values()]))
    adjusted = [
        replace(
            item, average=average, overall=overall, categories={name: next(by_category) for name in item.categories}
        )
        for item, average, overall in zip(raw, averages, overalls, strict=True)
    ]
    return [put_in_words(item, level=1 - confidence) for item in adjusted]


def _adjust(differences: Sequence[Difference]) -> list[Difference]:
    adjusted = holm([difference.p for difference in differences])
    return [replace(difference, adjusted_p=p) for difference, p in zip(differences, adjusted, strict=True)]


def _compare(a: Arm, b: Arm, *, resamples: int, seed: int, confidence: float) -> Comparison:
    check_comparable(a, b)
    counts = tally(a, b)
    gains = (counts.right_b - counts.right_a).mean(0)
    resampled = 100 * bootstrap(gains, counts.num_questions, resamples=resamples, seed=seed)
    num_questions, num_groups = counts.num_questions.sum(0), (counts.num_questions > 0).sum(0)
    accuracy_a, accuracy_b = (100 * right.sum(1) / num_questions for right in (counts.right_a, counts.right_b))
    columns = [
        _difference(
            dict(zip(counts.seeds, accuracy_a[:, column], strict=True)),
            dict(zip(counts.seeds, accuracy_b[:, column], strict=True)),
            resampled=resampled[:, column],
            num_questions=int(num_questions[column]),
            num_groups=int(num_groups[column]),
            confidence=confidence,
        )
        for column in range(len(num_questions))
    ]
    average = _difference(
        dict(zip(counts.seeds, accuracy_a[:, :-1].mean(1), strict=True)),
        dict(zip(counts.seeds, accuracy_b[:, :-1].mean(1), strict=True)),
        resampled=resampled[:, :-1].mean(1),
        num_questions=int(num_questions[-1]),
        num_groups=int(num_groups[:-1].min()),
        confidence=confidence,
    )
    categories = dict(zip(counts.categories, columns[:-1], strict=True))
    return Comparison(baseline=a.name, arm=b.name, average=average, overall=columns[-1], categories=categories)


def _difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    resampled: Float[np.ndarray, " resamples"],
    num_questions: int,
    num_groups: int,
    confidence: float,
) -> Difference:
    """Compares one figure, given for each seed; its adjusted p-value and the words come later."""
    resampled = np.round(resampled, _DECIMALS)
    differences = {seed: round(float(b[seed] - a[seed]), _DECIMALS) for seed in a}
    values, several, enough = list(differences.values()), len(differences) > 1, num_groups >= MIN_GROUPS
    p = bootstrap_p(resampled) if enough else 1.0
    return Difference(
        baseline=float(np.mean(list(a.values()))),
        accuracy=float(np.mean(list(b.values()))),
        difference=float(np.mean(values)),
        question_interval=percentile_interval(resampled, confidence=confidence) if enough else (-100.0, 100.0),
        seed_differences=differences,
        seed_deviation=float(np.std(values, ddof=1)) if several else None,
        seed_interval=t_interval(values, confidence=confidence) if several else None,
        p=p,
        adjusted_p=p,
        num_questions=num_questions,
        num_groups=num_groups,
    )
