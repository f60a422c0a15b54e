"""Reads the recorded cases of the reference scorers, and scores whole runs of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from asvr.evaluation.benchmark import Benchmark, Judged, Protocol
from asvr.evaluation.sums import add_up, divide, measure

FOLDER = Path(__file__).parents[4] / "shared" / "golden" / "metrics"

needs_metrics = pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/golden/metrics is not beside this checkout")


def cases(file: str) -> Iterator[dict[str, Any]]:
    """The lines of a file, by its name without the ending."""
    # Not splitlines: some answers hold a line separator.
    return (json.loads(line) for line in (FOLDER / f"{file}.jsonl").read_text("utf-8").split("\n") if line)


def judge_run(benchmark: Benchmark, protocol: Protocol, case: Mapping[str, Any]) -> list[Judged]:
    """Judges the answers of a recorded run, whose rows have no pictures."""
    rows = zip(case["item"]["rows"], case["prediction"], strict=True)
    return [
        Judged(benchmark.identify(row, number), row, (), benchmark.category(row), protocol.judge(row, answer))
        for number, (row, answer) in enumerate(rows)
        if not benchmark.leave_out(row)
    ]


def percents(protocol: Protocol, judged: list[Judged]) -> dict[str, float]:
    """Every ratio in percent and every metric, by name."""
    sums = add_up(protocol.mark(judged))
    ratios = divide(sums.ratios, sums.values.sum(0), sums.counts.sum(0))
    metrics = {name: float(measure(protocol, name, ratios)) for name in protocol.metrics}
    return {name: 100 * float(ratio) for name, ratio in ratios.items()} | metrics
