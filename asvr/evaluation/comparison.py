"""What comparing two arms gives: numbers, a verdict in words, and the file they are kept in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

Interval = tuple[float, float]

UNKNOWN: Interval = (-100.0, 100.0)
"""The interval where there are too few groups of questions to draw from."""

POWER = 0.8
"""Share of repetitions in which a difference of `smallest_detectable` is found."""


@dataclass(frozen=True)
class Difference:
    """How an arm differs from the baseline in one figure. Accuracies in percent, differences in percentage points.

    Args:
        baseline: The baseline's accuracy, mean over seeds.
        accuracy: The arm's, mean over seeds.
        difference: `accuracy - baseline`.
        question_interval: Paired bootstrap interval over groups of questions, seeds held fixed: groups are drawn for
            both arms and all seeds together. `UNKNOWN` where there are too few groups to draw from.
        seed_differences: Difference of each pair of runs with equal seed, by seed.
        seed_deviation: Their standard deviation; None for one seed.
        seed_interval: Student's interval of their mean, questions held fixed; None for one seed.
        p: Two-sided bootstrap p-value of no difference; 1 where there are too few groups.
        adjusted_p: The same after Holm's correction for what else the table compares.
        num_questions: Questions it rests on.
        num_groups: Groups of questions about the same pictures it rests on; for an average, those of the part that has
            fewest.
        verdict: The outcome in words.
        confidence: Of the intervals; one minus it is the level of the tests.
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
    confidence: float = 0.95

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
        """Gives the true difference that so many questions and seeds would find in 80 % of repetitions, before Holm.

        Half the width of the wider interval times (1.96 + 0.84) / 1.96 = 1.43 at 95 %: half the width alone is found
        every second time only. With few seeds, where the interval is Student's, it is a little more than needed.
        """
        low, high = self.wider_interval
        reach = NormalDist().inv_cdf((1 + self.confidence) / 2)
        return (high - low) / 2 * (reach + NormalDist().inv_cdf(POWER)) / reach

    @property
    def sign(self) -> int:
        """Gives 1 for certainly better, -1 for certainly worse, 0 for not distinguishable.

        Certain is what every interval and the p-value after Holm's correction agree on.
        """
        certain = self.adjusted_p < 1 - self.confidence and all(low > 0 or high < 0 for low, high in self.intervals)
        return (1 if self.difference > 0 else -1) if certain else 0


@dataclass(frozen=True)
class Comparison:
    """An arm beside the baseline.

    Args:
        baseline: Name of the baseline.
        arm: Name of the arm.
        average: Of the categories, each counting the same: the figure that decides.
        overall: Of all questions, each question counting the same; None for benchmarks, which are never pooled.
        categories: By category of a record file, or by benchmark, where it is the headline metric.
        leave_one_out: The average without one benchmark, by the benchmark that is left out; empty for records.
        secondary: Other metrics in percent, by benchmark and metric, such as "pope F1", and the average with the other
            reading of MME; without verdict or correction.
        robustness: In words, whether the average's verdict rests on one benchmark; empty for records.
    """

    baseline: str
    arm: str
    average: Difference
    overall: Difference | None
    categories: dict[str, Difference]
    leave_one_out: dict[str, Difference] = field(default_factory=dict)
    secondary: dict[str, Difference] = field(default_factory=dict)
    robustness: str = ""


def put_in_words(comparison: Comparison, *, level: float) -> Comparison:
    """Fills in the verdict of every figure but the secondary ones.

    An arm is better or worse only if zero lies outside every interval and the adjusted p-value is below the level.

    Args:
        comparison: Complete but for the verdicts.
        level: Of the tests; one minus the confidence of the intervals.
    """

    def decide(difference: Difference) -> Difference:
        difference = replace(difference, confidence=1 - level)
        return replace(difference, verdict=_verdict(difference, arm=comparison.arm, baseline=comparison.baseline))

    def decide_all(differences: Mapping[str, Difference]) -> dict[str, Difference]:
        return {name: decide(difference) for name, difference in differences.items()}

    decided = replace(
        comparison,
        average=decide(comparison.average),
        overall=comparison.overall and decide(comparison.overall),
        categories=decide_all(comparison.categories),
        leave_one_out=decide_all(comparison.leave_one_out),
    )
    return replace(decided, robustness=_robustness(decided.average, decided.leave_one_out))


def _verdict(difference: Difference, *, arm: str, baseline: str) -> str:
    low, high = difference.wider_interval
    interval = f"[{points(low)}, {points(high)}]"
    caveat = "" if difference.seed_interval else " One seed each: the noise of training is not covered."
    if difference.sign:
        side = "better" if difference.sign > 0 else "worse"
        return f"{arm} is {side} than {baseline} by {abs(difference.difference):.1f} points {interval}.{caveat}"
    found = f"{arm} and {baseline} are not distinguishable: {points(difference.difference)} points"
    if difference.question_interval == UNKNOWN:
        groups = "1 group" if difference.num_groups == 1 else f"{difference.num_groups} groups"
        return f"{found}, resting on {groups} of questions where it has fewest: too few for an interval.{caveat}"
    detectable = f"{difference.smallest_detectable:.1f} would have been found four times in five"
    return f"{found} {interval}, where {detectable}.{caveat}"


def _robustness(average: Difference, leave_one_out: Mapping[str, Difference]) -> str:
    """Says in a sentence whether the average is the same whichever benchmark is left out."""
    if not leave_one_out:
        return ""
    least, most = (pick(leave_one_out, key=lambda name: leave_one_out[name].difference) for pick in (min, max))
    change = f"{points(leave_one_out[least].difference)} without {least}"
    if most != least:
        change += f" to {points(leave_one_out[most].difference)} without {most}"
    other = [name for name, difference in leave_one_out.items() if difference.sign != average.sign]
    turned = [
        name for name, each in leave_one_out.items() if round(each.difference, 1) * round(average.difference, 1) < 0
    ]
    verdict = f"another verdict without {', '.join(other)}" if other else "the same verdict whichever is left out"
    sign = f", and the other sign without {', '.join(turned)}" if turned else ""
    return f"One benchmark left out: {change}; {verdict}{sign}."


def points(value: float) -> str:
    """Writes percentage points with their sign; zero is never negative."""
    return f"{round(value, 1) + 0.0:+.1f}"


def write_comparisons(path: Path, comparisons: Sequence[Comparison], *, about: Mapping[str, Any]) -> None:
    """Writes comparisons as JSON, with what `to_content` says.

    Args:
        path: File to write; its folder is made.
        comparisons: In the order of the table.
        about: Where the answers came from and how they were compared.
    """
    content = to_content(comparisons, about=about)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def to_content(comparisons: Sequence[Comparison], *, about: Mapping[str, Any]) -> dict[str, Any]:
    """Gives comparisons as plain values.

    Beside `about`, as given, there is `comparisons`: a list of objects with the fields of `Comparison`. Each figure has
    the fields of `Difference` and `smallest_detectable`; an interval is a pair, and what one seed cannot give is None.
    """
    return {"about": about, "comparisons": [_to_json(comparison) for comparison in comparisons]}


def _to_json(comparison: Comparison) -> dict[str, Any]:
    def figure(difference: Difference) -> dict[str, Any]:
        return {**asdict(difference), "smallest_detectable": difference.smallest_detectable}

    def figures(differences: Mapping[str, Difference]) -> dict[str, Any]:
        return {name: figure(difference) for name, difference in differences.items()}

    return {
        "baseline": comparison.baseline,
        "arm": comparison.arm,
        "average": figure(comparison.average),
        "overall": comparison.overall and figure(comparison.overall),
        "categories": figures(comparison.categories),
        "leave_one_out": figures(comparison.leave_one_out),
        "secondary": figures(comparison.secondary),
        "robustness": comparison.robustness,
    }
