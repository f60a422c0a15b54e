"""Is one arm better than another on the benchmarks? Every headline, their average, and the average without each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.progress import track

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.benchmark_score import judge_answers
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.benchmarks.mme import PERCEPTION_HEADLINE
from asvr.evaluation.compare import check_settings, conclude
from asvr.evaluation.comparison import Comparison
from asvr.evaluation.figures import Figure, average, difference_of, in_percent, resample
from asvr.evaluation.suite_arms import Suite, read_arms
from asvr.evaluation.sums import Sums, add_up
from asvr.evaluation.tally import tally

Figures = dict[str, dict[str, Figure]]
"""Of one arm beside the baseline, by benchmark and metric."""


class SuiteComparison(NamedTuple):
    """What comparing results gives.

    Args:
        comparisons: One per arm but the baseline; `categories` are the benchmarks' headline metrics.
        unmeasured: Metrics, as "benchmark metric", that these questions do not give, such as MME's sum where a limit
            left a kind of question out. A benchmark without its headline is in no average.
    """

    comparisons: list[Comparison]
    unmeasured: tuple[str, ...]


def compare_suite(suite: Suite, *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95) -> SuiteComparison:
    """Compares the arms of a suite with the first.

    Questions are drawn separately for each benchmark; a resample of the average is the mean of theirs. When an arm is
    called better or worse is said in `compare_all`, what p-values are corrected for in `conclude`; other metrics than
    the headline are given without verdict, and not counted.

    Args:
        suite: What is compared.
        resamples: Draws of the bootstrap.
        seed: Decides the draws.
        confidence: Of the intervals; one minus it is the level of the tests.

    Raises:
        ValueError: If answers are broken or missing, the arms did not answer the same questions, a number is out of
            range, or no headline can be measured.
    """
    check_settings(resamples, confidence)
    found: list[Figures] = [{} for _ in list(suite.folders)[1:]]
    for name in track(suite.results, description="Comparing", transient=True):
        for figures, measured in zip(found, _measure(suite, name, resamples=resamples, seed=seed), strict=True):
            figures[name] = measured
    unmeasured = tuple(dict.fromkeys(key for figures in found for key in _unmeasured(figures)))
    headlines = {name: suite.protocol(name).headline for name in suite.results}
    kept = {name: metric for name, metric in headlines.items() if f"{name} {metric}" not in unmeasured}
    if not kept:
        raise ValueError(f"No headline can be measured: {', '.join(unmeasured)}. Evaluate more questions.")
    baseline, *arms = suite.folders
    raw = [
        _compare(baseline, arm, figures, kept, unmeasured, confidence=confidence)
        for arm, figures in zip(arms, found, strict=True)
    ]
    return SuiteComparison(conclude(raw, confidence=confidence), unmeasured)


def _measure(suite: Suite, name: str, *, resamples: int, seed: int) -> list[dict[str, Figure]]:
    """Measures every metric in percent of a benchmark for each arm beside the baseline."""
    protocol, header = suite.protocol(name), suite.first(name)
    metrics = {metric: function for metric, function in protocol.metrics.items() if in_percent(function)}

    def sums(answers: Sequence[Answer]) -> Sums:
        by_id = sorted(answers, key=lambda answer: answer.id)
        return add_up(protocol.mark(judge_answers(BENCHMARKS[name], header.protocol, by_id)))

    baseline, *arms = ({seed: sums(answers) for seed, answers in arm.runs.items()} for arm in read_arms(suite, name))
    return [
        resample(
            tally(baseline, arm),
            metrics,
            num_questions=dict.fromkeys(metrics, header.num_questions),
            resamples=resamples,
            # Separate draws for each benchmark, which do not change when another one is added.
            seed=[seed, list(BENCHMARKS).index(name)],
        )
        for arm in arms
    ]


def _unmeasured(figures: Figures) -> list[str]:
    return [
        f"{name} {metric}"
        for name, metrics in figures.items()
        for metric, figure in metrics.items()
        if np.isnan([*figure.baseline.values(), *figure.accuracy.values()]).any()
    ]


def _compare(
    baseline: str,
    arm: str,
    figures: Figures,
    headlines: dict[str, str],
    unmeasured: tuple[str, ...],
    *,
    confidence: float,
) -> Comparison:
    benchmarks = {name: figures[name][metric] for name, metric in headlines.items()}
    others = {
        f"{name} {metric}": figure
        for name, metrics in figures.items()
        for metric, figure in metrics.items()
        if f"{name} {metric}" not in unmeasured and metric != headlines.get(name)
    }
    if "mme" in benchmarks and f"mme {PERCEPTION_HEADLINE}" in others:
        # The paper's column is one of two readings, and so is its average.
        other_reading = benchmarks | {"mme": others[f"mme {PERCEPTION_HEADLINE}"]}
        others[f"average, mme {PERCEPTION_HEADLINE}"] = average(list(other_reading.values()))
    without = {
        name: average([figure for other, figure in benchmarks.items() if other != name])
        for name in benchmarks
        if len(benchmarks) > 1
    }
    return Comparison(
        baseline=baseline,
        arm=arm,
        average=difference_of(average(list(benchmarks.values())), confidence=confidence),
        overall=None,
        categories={name: difference_of(figure, confidence=confidence) for name, figure in benchmarks.items()},
        leave_one_out={name: difference_of(figure, confidence=confidence) for name, figure in without.items()},
        secondary={name: difference_of(figure, confidence=confidence) for name, figure in others.items()},
    )
