"""The paper's fourteen benchmarks, a file each: table, prompt and score."""

from asvr.evaluation.benchmark import Benchmark
from asvr.evaluation.benchmarks.ai2d import AI2D
from asvr.evaluation.benchmarks.chartqa import CHARTQA
from asvr.evaluation.benchmarks.docvqa import DOCVQA
from asvr.evaluation.benchmarks.gqa import GQA
from asvr.evaluation.benchmarks.hallusionbench import HALLUSIONBENCH
from asvr.evaluation.benchmarks.mmbench import MMBENCH
from asvr.evaluation.benchmarks.mme import MME
from asvr.evaluation.benchmarks.mmmu import MMMU
from asvr.evaluation.benchmarks.mmvp import MMVP
from asvr.evaluation.benchmarks.ocrbench import OCRBENCH
from asvr.evaluation.benchmarks.pope import POPE
from asvr.evaluation.benchmarks.realworldqa import REALWORLDQA
from asvr.evaluation.benchmarks.seed_image import SEED_IMAGE
from asvr.evaluation.benchmarks.textvqa import TEXTVQA

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        TEXTVQA,
        DOCVQA,
        OCRBENCH,
        CHARTQA,
        MMBENCH,
        MME,
        SEED_IMAGE,
        GQA,
        MMMU,
        AI2D,
        REALWORLDQA,
        MMVP,
        HALLUSIONBENCH,
        POPE,
    )
}
"""By name, in the order of the paper's columns."""

PRESETS = ("paper", "lmms-eval", "vlmevalkit")
"""Names of the protocols that every benchmark has."""
