"""Averages of what a training run says of itself, a line of JSON every so many steps."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from asvr.disk import write_whole, writing
from asvr.tokenizers.ranks import Ranks


class MetricsLog:
    """Collects figures over micro-batches, steps and processes.

    Args:
        path: The JSONL file.
        ranks: The processes; the first one writes.
    """

    def __init__(self, path: Path, ranks: Ranks) -> None:
        self.path, self.ranks = path, ranks
        self.last: dict[str, float] = {}
        """The latest line."""
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def keep_until(self, step: int) -> None:
        """Drops the lines after a step, which are about to be written again, and what was left half written."""
        if self.ranks.is_first:
            lines = self.path.read_text().splitlines(keepends=True) if self.path.is_file() else []
            whole = [line for line in lines if line.endswith("}\n")]
            write_whole(self.path, "".join(line for line in whole if json.loads(line)["step"] <= step))

    def add(self, name: str, value: Tensor) -> None:
        """Adds a figure of a micro-batch."""
        total, count = self._sums.get(name, (torch.zeros((), device=value.device), 0))
        self._sums[name] = total + value.detach().float(), count + 1

    def write(self, step: int, **facts: float) -> None:
        """Writes the averages since the last line, with facts as they are.

        Raises:
            ValueError: If a figure is not finite: training has diverged.
        """
        names = sorted(self._sums)
        means = torch.stack([self._sums[name][0] / self._sums[name][1] for name in names])
        values = (self.ranks.total(means) / self.ranks.count).tolist()
        self._sums = {}
        self.last = {"step": step, **facts, **dict(zip(names, values, strict=True))}
        for name in names:
            if not math.isfinite(self.last[name]):
                raise diverged(f"{name} is {self.last[name]}", step)
        if self.ranks.is_first:
            with writing(self.path), self.path.open("a") as file:
                file.write(json.dumps(self.last) + "\n")


def diverged(symptom: str, step: int) -> ValueError:
    """Makes the error of a training run whose numbers are none any more."""
    return ValueError(
        f"{symptom} at step {step}: training has diverged, and nothing of it was saved since the last checkpoint; "
        "--set a lower optimisation.learning_rate or a longer optimisation.warmup_steps"
    )
