"""All 1,087 recorded cases at once, read and scored apart from the tests of single benchmarks: none may be skipped."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asvr.evaluation.average import average
from asvr.evaluation.benchmark import Judged
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.sums import add_up, divide, measure

FOLDER = Path(__file__).parents[4] / "shared" / "golden" / "metrics"

SINGLE = {
    ("textvqa_vqa_accuracy", "textvqa"): 125,
    ("docvqa_anls", "docvqa"): 89,
    ("ocrbench_contains", "ocrbench"): 87,
    ("chartqa_relaxed", "chartqa"): 112,
    ("mcq_mmbench", "mmbench"): 76,
    ("yesno_mme", "mme"): 70,
    ("mcq_seed", "seed_image"): 38,
    ("gqa_exact_match", "gqa"): 79,
    ("mcq_mmmu", "mmmu"): 38,
    ("open_mmmu", "mmmu"): 32,
    ("mcq_ai2d", "ai2d"): 40,
    ("mcq_realworldqa", "realworldqa"): 38,
    ("open_realworldqa", "realworldqa"): 23,
    ("mcq_mmvp", "mmvp"): 40,
    ("yesno_hallusionbench", "hallusionbench"): 70,
    ("yesno_pope", "pope"): 70,
}
"""Lines with one answer, by file and benchmark."""

RUNS = {
    ("set_means", "textvqa"): "score",
    ("set_means", "docvqa"): "score",
    ("set_ocrbench", "ocrbench"): "score",
    ("set_means", "chartqa"): "score",
    ("set_mmbench", "mmbench"): "circular_accuracy",
    ("set_mme", "mme"): "total_over_28",
    ("set_seed", "seed_image"): "accuracy",
    ("set_means", "gqa"): "score",
    ("set_mmmu", "mmmu"): "accuracy",
    ("set_means", "ai2d"): "score",
    ("set_means", "realworldqa"): "score",
    ("set_mmvp", "mmvp"): "pair_accuracy",
    ("set_hallusionbench", "hallusionbench"): "score",
    ("set_pope", "pope"): "accuracy",
}
"""Files with two recorded runs each, and what they call our headline metric."""

PROMPTS = dict(zip(BENCHMARKS, (2, 2, 1, 2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1), strict=True))
"""Whole prompts, by benchmark."""

PRESETS = {
    "lmms_eval": "lmms-eval",
    "lmms_eval_static_letter": "lmms-eval",
    "lmms_eval_intern": "lmms-eval",
    "vlmevalkit": "vlmevalkit",
    "vlmevalkit_letter": "vlmevalkit",
}
"""Our presets by the names under which the other implementations are recorded."""

NO_PRESET = {"vqa_official", "official", "mme_official", "mmmu_official", "pope_official", "cambrian_stvqa_anls"}
"""Recorded for information: scorers that are none of our presets."""

RANDOM = 19
"""Answers to MMMU for which lmms-eval draws a letter at random: recorded without a result, wrong in our preset."""


def read() -> dict[str, list[dict[str, Any]]]:
    texts = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.jsonl")}
    return {name: [json.loads(line) for line in text.split("\n") if line] for name, text in texts.items()}


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[dict[str, Any]]]:
    if not FOLDER.is_dir():
        pytest.skip("../shared/golden/metrics is not beside this checkout")
    return read()


def test_every_line_is_one_that_is_tested_below(recorded: dict[str, list[dict[str, Any]]]) -> None:
    found = Counter((file, case["benchmark"]) for file, cases in recorded.items() for case in cases)
    tested = Counter({("prompts", name): number for name, number in PROMPTS.items()})
    tested.update(SINGLE)
    tested.update(dict.fromkeys(RUNS, 2))
    tested["suite_average", "suite"] = 10
    assert found == tested
    assert found.total() == 1_087


@pytest.mark.parametrize(("file", "name"), SINGLE)
def test_single_answers(recorded: dict[str, list[dict[str, Any]]], file: str, name: str) -> None:
    judge = BENCHMARKS[name].protocols["paper"].judge
    for case in recorded[file]:
        assert case["benchmark"] == name
        assert judge(case["item"], case["prediction"]).score == pytest.approx(value(case["expected"]), abs=1e-6), case


@pytest.mark.parametrize(("file", "name"), SINGLE)
def test_single_answers_in_the_other_presets(recorded: dict[str, list[dict[str, Any]]], file: str, name: str) -> None:
    for case in recorded[file]:
        for implementation, result in case["alt"].items():
            if implementation in NO_PRESET or value(result) is None:
                continue
            judge = BENCHMARKS[name].protocols[PRESETS[implementation]].judge
            assert judge(case["item"], case["prediction"]).score == pytest.approx(value(result), abs=1e-6), case


def test_only_random_letters_have_no_result(recorded: dict[str, list[dict[str, Any]]]) -> None:
    drawn = [
        (file, result["extracted"])
        for file, _ in SINGLE
        for case in recorded[file]
        for implementation, result in case["alt"].items()
        if implementation not in NO_PRESET and value(result) is None
    ]
    assert drawn == [("mcq_mmmu", "<random>")] * RANDOM


@pytest.mark.parametrize(("file", "name"), RUNS)
def test_runs(recorded: dict[str, list[dict[str, Any]]], file: str, name: str) -> None:
    benchmark = BENCHMARKS[name]
    protocol = benchmark.protocols["paper"]
    runs = [case for case in recorded[file] if case["benchmark"] == name]
    assert len(runs) == 2
    for run in runs:
        judged = []
        for number, (row, answer) in enumerate(zip(run["item"]["rows"], run["prediction"], strict=True)):
            if not benchmark.leave_out(row):
                # Recorded rows hold what scoring needs; some have no id.
                judged.append(Judged(str(number), row, (), benchmark.category(row), protocol.judge(row, answer)))
        sums = add_up(protocol.mark(judged))
        ratios = divide(sums.ratios, sums.values.sum(0), sums.counts.sum(0))
        headline = float(measure(protocol, protocol.headline, ratios))
        assert headline == pytest.approx(run["expected"][RUNS[file, name]], abs=1e-6)


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts(recorded: dict[str, list[dict[str, Any]]], name: str) -> None:
    put = [case for case in recorded["prompts"] if case["benchmark"] == name]
    assert len(put) == PROMPTS[name]
    for case in put:
        assert BENCHMARKS[name].protocols["paper"].prompt(case["item"]) == case["expected"]["user_message"]


def test_averages(recorded: dict[str, list[dict[str, Any]]]) -> None:
    for case in recorded["suite_average"]:
        assert average(case["item"]["scores"]) == pytest.approx(case["expected"]["avg"], abs=1e-6)


def value(result: dict[str, Any] | float) -> float | None:
    """The number of a recorded result, which goes by several names."""
    if not isinstance(result, dict):
        return float(result)
    number = next(result[key] for key in ("correct", "score", "anls") if key in result)
    return None if number is None else float(number)
