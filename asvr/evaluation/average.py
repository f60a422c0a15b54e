"""The paper's average of a model: the plain mean of the fourteen headline numbers, each benchmark counting the same."""

import math
from collections.abc import Mapping, Sequence

from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.benchmarks.mme import HEADLINE, PERCEPTION_HEADLINE

MME_READINGS = (HEADLINE, PERCEPTION_HEADLINE)
"""The metrics of MME that the paper's column may stand for; the first is the headline."""


def average(scores: Mapping[str, float | None], *, names: Sequence[str] = tuple(BENCHMARKS)) -> float:
    """Averages scores over benchmarks, in percent.

    Args:
        scores: By benchmark; a None or NaN is no score. Others than those of `names` are not looked at.
        names: The benchmarks to average over.

    Raises:
        ValueError: If one has no score: an average over fewer would not compare with others.
    """
    numbers = {name: scores.get(name) for name in names}
    assert numbers
    there = [number for number in numbers.values() if number is not None and not math.isnan(number)]
    if len(there) < len(numbers):
        missing = [name for name, number in numbers.items() if number is None or math.isnan(number)]
        raise ValueError(
            f"An average over {len(numbers)} benchmarks needs a score of each, but {len(missing)} have none: "
            f"{', '.join(missing)}. Evaluate those, or name fewer benchmarks to average over."
        )
    return sum(there) / len(there)


def average_readings(metrics: Mapping[str, Mapping[str, float | None]], *, preset: str) -> dict[str, float]:
    """Averages the headline numbers of all fourteen, once for each reading of MME.

    Args:
        metrics: By benchmark, then by metric, in percent.
        preset: Whose headlines are averaged.

    Returns:
        By the metric that MME entered with.

    Raises:
        ValueError: If a number is missing.
    """
    scores = {
        name: metrics.get(name, {}).get(benchmark.protocols[preset].headline) for name, benchmark in BENCHMARKS.items()
    }
    return {reading: average(scores | {"mme": metrics.get("mme", {}).get(reading)}) for reading in MME_READINGS}
