"""Holds a benchmark's rules against the recorded answers of a file."""

from asvr.evaluation.benchmark import Benchmark, Protocol

from .golden import cases, judge_run, percents

NOTHING = ("Z", "<random>")
"""What VLMEvalKit and MMMU's code give where they read nothing."""


def check_answers(benchmark: Benchmark, file: str, *, number: int) -> None:
    """The preset "paper" reads and judges every answer of a file as recorded."""
    recorded = list(cases(file))
    assert len(recorded) == number
    for case in recorded:
        expected = case["expected"]
        judgement = benchmark.protocols["paper"].judge(case["item"], case["prediction"])
        assert judgement == (float(expected["correct"]), expected["extracted"]), case


def check_other(protocol: Protocol, file: str, name: str) -> None:
    """A preset reads and judges every answer of a file as another implementation did; what that guessed is wrong."""
    for case in cases(file):
        expected = case["alt"][name]
        judgement = protocol.judge(case["item"], case["prediction"])
        assert judgement.score == float(expected["correct"] or 0), case
        if "extracted" in expected:
            said = expected["extracted"]
            assert judgement.extracted == ("" if said in NOTHING else said.lower()), case


def check_prompts(benchmark: Benchmark, *, number: int) -> None:
    """The preset "paper" puts every recorded question byte for byte."""
    recorded = [case for case in cases("prompts") if case["benchmark"] == benchmark.name]
    assert len(recorded) == number
    for case in recorded:
        assert benchmark.protocols["paper"].prompt(case["item"]) == case["expected"]["user_message"]


def runs(benchmark: Benchmark, preset: str, file: str) -> list[tuple[dict, dict[str, float]]]:
    """The recorded runs of a file about a benchmark, with what a preset gives, in percent."""
    protocol = benchmark.protocols[preset]
    recorded = [case for case in cases(file) if case["benchmark"] == benchmark.name]
    assert len(recorded) == 2
    return [(case, percents(protocol, judge_run(benchmark, protocol, case))) for case in recorded]
