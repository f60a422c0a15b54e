"""Logged figures over steps, averaged over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from asvr.reports.results import Arm, StageResult


@dataclass(frozen=True)
class Curve:
    """A figure over steps.

    Args:
        steps: Optimisation steps at which every seed logged it.
        mean: Over seeds.
        low: Smallest over seeds.
        high: Largest over seeds.
    """

    steps: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]

    @property
    def is_empty(self) -> bool:
        """Says whether nothing was logged."""
        return len(self.steps) == 0


def stage_curve(arm: Arm, stage: str, metric: str) -> Curve:
    """Reads a figure of one stage."""
    stages = [result for run in arm.runs for result in run.stages if result.name == stage]
    return _curve([_values(result, metric, after=0) for result in stages])


def run_curve(arm: Arm, metric: str) -> Curve:
    """Reads a figure of all stages, whose steps are counted on from stage to stage."""
    whole = []
    for run in arm.runs:
        values, after = {}, 0
        for stage in run.stages:
            values |= _values(stage, metric, after=after)
            after += stage.steps
        whole.append(values)
    return _curve(whole)


def num_depths(arm: Arm, supervision: str) -> int:
    """Counts the quantizer depths whose loss was logged."""
    logged = {name for stage in arm.runs[0].stages for line in stage.metrics for name in line}
    depth = 0
    while f"{supervision}_loss_depth_{depth}" in logged:
        depth += 1
    return depth


def _values(stage: StageResult, metric: str, *, after: int) -> dict[int, float]:
    return {after + line["step"]: line[metric] for line in stage.metrics if metric in line}


def _curve(values: Sequence[dict[int, float]]) -> Curve:
    steps = sorted(set.intersection(*(set(each) for each in values)))
    table = np.array([[each[step] for step in steps] for each in values], dtype=float)
    return Curve(np.array(steps, dtype=float), table.mean(0), table.min(0), table.max(0))
