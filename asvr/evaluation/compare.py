"""Is one arm better than another? Answers to records, compared by category, with intervals over questions and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asvr.evaluation.arms import Arm, check_comparable
from asvr.evaluation.benchmark import percent
from asvr.evaluation.comparison import Comparison, Difference, put_in_words
from asvr.evaluation.figures import average, difference_of, resample
from asvr.evaluation.statistics import holm
from asvr.evaluation.sums import Sums, add_up
from asvr.evaluation.tally import EVERY, mark_records, tally


def compare(a: Arm, b: Arm, *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95) -> Comparison:
    """Compares an arm `b` with a baseline `a`; see `compare_all`."""
    return compare_all(a, [b], resamples=resamples, seed=seed, confidence=confidence)[0]


def compare_all(
    baseline: Arm, others: Sequence[Arm], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> list[Comparison]:
    """Compares several arms with a baseline.

    An arm is called better or worse only if every interval excludes zero (over questions, and with several seeds over
    seeds) and the p-value is still below the level after Holm's correction; see `conclude`.

    Args:
        baseline: What the others are compared with.
        others: Arms that answered the same questions with the same seeds.
        resamples: Draws of the bootstrap.
        seed: Decides the draws.
        confidence: Of the intervals; one minus it is the level of the tests.

    Raises:
        ValueError: If the arms cannot be compared, or a number is out of range.
    """
    check_settings(resamples, confidence)
    for arm in others:
        check_comparable(baseline, arm)
    sums = _sums(baseline)
    return conclude(
        [_compare(baseline.name, sums, arm, resamples=resamples, seed=seed, confidence=confidence) for arm in others],
        confidence=confidence,
    )


def check_settings(resamples: int, confidence: float) -> None:
    """Refuses numbers that give no interval.

    Raises:
        ValueError: If there are fewer than 100 resamples, or the confidence is not from 0.5 up to 1.
    """
    if resamples < 100 or not 0.5 <= confidence < 1:
        raise ValueError(
            f"{resamples} resamples with confidence {confidence} give no interval. Use at least 100, and 0.5 up to 1."
        )


def conclude(comparisons: Sequence[Comparison], *, confidence: float) -> list[Comparison]:
    """Corrects the p-values of a table, after Holm, and fills in the verdicts.

    The correction counts the arms of the table for the average, for the overall figure and for each average with one
    benchmark left out, and arms times categories for the categories.

    Args:
        comparisons: The table's, all with the same baseline.
        confidence: Of the intervals.
    """
    averages = _adjust([each.average for each in comparisons])
    overalls = iter(_adjust([each.overall for each in comparisons if each.overall]))
    categories = iter(_adjust([one for each in comparisons for one in each.categories.values()]))
    names = dict.fromkeys(name for each in comparisons for name in each.leave_one_out)
    left_out = {name: iter(_adjust([each.leave_one_out[name] for each in comparisons])) for name in names}
    adjusted = [
        replace(
            each,
            average=mean,
            overall=next(overalls) if each.overall else None,
            categories={name: next(categories) for name in each.categories},
            leave_one_out={name: next(left_out[name]) for name in each.leave_one_out},
        )
        for each, mean in zip(comparisons, averages, strict=True)
    ]
    return [put_in_words(each, level=1 - confidence) for each in adjusted]


def _adjust(differences: Sequence[Difference]) -> list[Difference]:
    adjusted = holm([difference.p for difference in differences])
    return [replace(difference, adjusted_p=p) for difference, p in zip(differences, adjusted, strict=True)]


def _sums(arm: Arm) -> dict[str, Sums]:
    return {seed: add_up(mark_records(answers)) for seed, answers in arm.runs.items()}


def _compare(
    baseline: str, sums: Mapping[str, Sums], arm: Arm, *, resamples: int, seed: int, confidence: float
) -> Comparison:
    counted = tally(sums, _sums(arm))
    num_questions = {ratio: int(counted.counts[0, 0, :, column].sum()) for column, ratio in enumerate(counted.ratios)}
    figures = resample(
        counted,
        {ratio: percent(ratio) for ratio in counted.ratios},
        num_questions=num_questions,
        resamples=resamples,
        seed=seed,
    )
    categories = {name: figure for name, figure in figures.items() if name != EVERY}
    return Comparison(
        baseline=baseline,
        arm=arm.name,
        average=difference_of(average(list(categories.values())), confidence=confidence),
        overall=difference_of(figures[EVERY], confidence=confidence),
        categories={name: difference_of(figure, confidence=confidence) for name, figure in categories.items()},
    )
