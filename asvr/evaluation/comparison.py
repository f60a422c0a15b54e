"""What comparing two arms gives: numbers, a verdict in words, and the file they are kept in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """How an arm differs from the baseline in one figure. Accuracies in percent, differences in percentage points.

    Args:
        baseline: The baseline's accuracy, mean over seeds.
        accuracy: The arm's, mean over seeds.
        difference: `accuracy - baseline`.
        question_interval: Paired bootstrap interval over groups of questions, seeds held fixed: groups are drawn for
            both arms and all seeds together. [-100, 100] where there are too few groups to draw from.
        seed_differences: Difference of each pair of runs with equal seed, by seed.
        seed_deviation: Their standard deviation; None for one seed.
        seed_interval: Student's interval of their mean, questions held fixed; None for one seed.
        p: Two-sided bootstrap p-value of no difference; 1 where there are too few groups.
        adjusted_p: The same after Holm's correction for what else the table compares.
        num_questions: Questions it rests on.
        num_groups: Groups of questions about the same pictures it rests on; for the average, those of the category
            that has fewest.
        verdict: The outcome in words.
    """

    baseline: float
    accuracy: float
    difference: float
    question_interval: Interval
    seed_differences: dict[str, float]
    seed_deviation: float | None
    seed_interval: Interval | None
    p: float
    adjusted_p: float
    num_questions: int
    num_groups: int
    verdict: str = ""

    @property
    def intervals(self) -> list[Interval]:
        """Gives the interval over questions and, with several seeds, the one over seeds."""
        return [self.question_interval, *([self.seed_interval] if self.seed_interval else [])]

    @property
    def wider_interval(self) -> Interval:
        """Gives the interval that says less."""
        return max(self.intervals, key=lambda interval: interval[1] - interval[0])

    @property
    def smallest_detectable(self) -> float:
        """Gives half the width of the wider interval: a true difference of this size is found every second time."""
        low, high = self.wider_interval
        return (high - low) / 2


@dataclass(frozen=True)
class Comparison:
    """An arm beside the baseline.

    Args:
        baseline: Name of the baseline.
        arm: Name of the arm.
        average: Of the categories' accuracies, each category counting the same: the figure that decides.
        overall: Of all questions, each question counting the same.
        categories: By category.
    """

    baseline: str
    arm: str
    average: Difference
    overall: Difference
    categories: dict[str, Difference]


def put_in_words(comparison: Comparison, *, level: float) -> Comparison:
    """Fills in the verdict of every figure.

    An arm is better or worse only if zero lies outside every interval and the adjusted p-value is below the level.

    Args:
        comparison: Complete but for the verdicts.
        level: Of the tests; one minus the confidence of the intervals.
    """

    def decide(difference: Difference) -> Difference:
        words = _verdict(difference, arm=comparison.arm, baseline=comparison.baseline, level=level)
        return replace(difference, verdict=words)

    return replace(
        comparison,
        average=decide(comparison.average),
        overall=decide(comparison.overall),
        categories={name: decide(difference) for name, difference in comparison.categories.items()},
    )


def _verdict(difference: Difference, *, arm: str, baseline: str, level: float) -> str:
    low, high = difference.wider_interval
    interval = f"[{low:+.1f}, {high:+.1f}]"
    caveat = "" if difference.seed_interval else " One seed each: the noise of training is not covered."
    certain = difference.adjusted_p < level and all(low > 0 or high < 0 for low, high in difference.intervals)
    if certain:
        side = "better" if difference.difference > 0 else "worse"
        return f"{arm} is {side} than {baseline} by {abs(difference.difference):.1f} points {interval}.{caveat}"
    return (
        f"{arm} and {baseline} are not distinguishable: {difference.difference:+.1f} points {interval}, where "
        f"{difference.smallest_detectable:.1f} could have been told from none.{caveat}"
    )


def write_comparisons(path: Path, comparisons: Sequence[Comparison], *, about: Mapping[str, Any]) -> None:
    """Writes comparisons as JSON.

    The file holds `about`, as given, and `comparisons`: a list of objects with `baseline`, `arm`, `average`, `overall`
    and `categories` (by name). Each figure has the fields of `Difference` and `smallest_detectable`; an interval is a
    pair, and what one seed cannot give is null.

    Args:
        path: File to write; its folder is made.
        comparisons: In the order of the table.
        about: Where the answers came from and how they were compared.
    """
    content = {"about": about, "comparisons": [_to_json(comparison) for comparison in comparisons]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _to_json(comparison: Comparison) -> dict[str, Any]:
    def figure(difference: Difference) -> dict[str, Any]:
        return {**asdict(difference), "smallest_detectable": difference.smallest_detectable}

    return {
        "baseline": comparison.baseline,
        "arm": comparison.arm,
        "average": figure(comparison.average),
        "overall": figure(comparison.overall),
        "categories": {name: figure(difference) for name, difference in comparison.categories.items()},
    }
