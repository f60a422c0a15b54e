"""The table of a study: accuracies with their spread over seeds, and differences to the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from asvr.reports.results import Arm, Study

LEVEL = 0.05
"""Of the tests; the intervals have the confidence that this leaves."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """An arm's accuracy on one kind of question, in percent.

    Args:
        mean: Over seeds.
        deviation: Standard deviation over seeds; None for one seed.
        sign: 1 or -1 where the arm is certainly better or worse than the baseline, 0 otherwise.
    """

    mean: float
    deviation: float | None
    sign: int = 0


@dataclass(frozen=True)
class Row:
    """One kind of question with a cell per arm."""

    kind: str
    num_questions: int
    cells: tuple[Cell, ...]


def kinds_of(study: Study) -> list[str]:
    """Gives the kinds of question."""
    return list(study.baseline.runs[0].scores["accuracy"])


def kind_rows(study: Study) -> list[Row]:
    """Makes the table's rows."""
    return [_row(study, kind) for kind in kinds_of(study)]


def average_row(study: Study) -> Row:
    """Makes the row of the average over kinds, each kind counting the same."""
    signs = {each["arm"]: sign(each["average"]) for each in study.comparisons}
    cells = [_cell([run.scores["average"] for run in arm.runs], signs.get(arm.name, 0)) for arm in study.arms]
    total = sum(study.baseline.runs[0].scores["num_questions"].values())
    return Row("average of kinds", total, tuple(cells))


def comparison_of(study: Study, arm: Arm) -> Mapping[str, Any] | None:
    """Finds an arm's comparison with the baseline; the baseline itself has none."""
    return next((each for each in study.comparisons if each["arm"] == arm.name), None)


def sign(difference: Mapping[str, Any]) -> int:
    """Says whether a difference is certain: 1 better, -1 worse, 0 neither.

    Certain is what `asvr compare` calls so: every interval excludes zero, and the p-value after Holm's correction is
    below the level.
    """
    excluded = all(low > 0 or high < 0 for low, high in intervals(difference))
    if not excluded or difference["adjusted_p"] >= LEVEL:
        return 0
    return 1 if difference["difference"] > 0 else -1


def intervals(difference: Mapping[str, Any]) -> list[Interval]:
    """Gives the interval over questions and, with several seeds, the one over seeds."""
    pairs = filter(None, [difference["question_interval"], difference["seed_interval"]])
    return [(float(low), float(high)) for low, high in pairs]


def in_words(interval: Sequence[float]) -> str:
    """Writes an interval of points; the widest possible is what `asvr compare` gives where too few pictures are."""
    low, high = interval
    return "too few pictures" if low <= -100 and high >= 100 else f"[{low:+.1f}, {high:+.1f}]"


def wider_interval(difference: Mapping[str, Any]) -> Interval:
    """Gives the interval that says less."""
    return max(intervals(difference), key=lambda interval: interval[1] - interval[0])


def widest(comparisons: Sequence[Mapping[str, Any]]) -> float:
    """Gives the largest end of any interval that was drawn from enough pictures, in points."""
    ends = [
        abs(end)
        for comparison in comparisons
        for difference in (comparison["average"], *comparison["categories"].values())
        for end in wider_interval(difference)
    ]
    drawn = [end for end in ends if end < 100]
    return min(100.0, 1.05 * max(drawn, default=100.0))


def mean_seconds(arm: Arm) -> float:
    """Gives the training time of an arm, mean over seeds."""
    return mean(run.seconds for run in arm.runs)


def _row(study: Study, kind: str) -> Row:
    signs = {each["arm"]: sign(each["categories"][kind]) for each in study.comparisons}
    cells = [_cell([run.scores["accuracy"][kind] for run in arm.runs], signs.get(arm.name, 0)) for arm in study.arms]
    return Row(kind, study.baseline.runs[0].scores["num_questions"][kind], tuple(cells))


def _cell(values: Sequence[float], certain: int) -> Cell:
    return Cell(mean(values), stdev(values) if len(values) > 1 else None, certain)
