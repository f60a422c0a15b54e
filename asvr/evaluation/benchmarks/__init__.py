"""The paper's fourteen benchmarks, a file each: table, prompt and score."""

from asvr.evaluation.benchmark import Benchmark
from asvr.evaluation.benchmarks.pope import POPE

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in (POPE,)}
"""By name, in the order of the paper's columns."""

PRESETS = ("paper", "lmms-eval", "vlmevalkit")
"""Names of the protocols that every benchmark has."""
