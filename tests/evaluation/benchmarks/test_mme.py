import math

import pytest

from asvr.evaluation.benchmark import Judged, Judgement
from asvr.evaluation.benchmarks.mme import ALL, MME, PERCEPTION
from asvr.evaluation.sums import add_up

from .golden import cases, judge_run, needs_metrics, percents

PAPER = MME.protocols["paper"]
YES = {"question_id": "OCR/1.jpg", "question": "A? Please answer yes or no.", "answer": "Yes", "category": "OCR"}

NUMBERS = {
    "perception": "perception",
    "cognition": "cognition",
    "total": "total",
    "accuracy": "accuracy",
    "total_over_28": "total/28",
    "perception_over_20": "perception/20",
}
"""The recorded names of our metrics."""


@needs_metrics
@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_every_recorded_answer_is_judged_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("yesno_mme"))
    assert len(recorded) == 70
    for case in recorded:
        expected = case["expected"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        judgement = MME.protocols[preset].judge(case["item"], case["prediction"])
        said = expected["extracted"].lower()
        assert judgement == (float(expected["correct"]), said if said in ("yes", "no") else ""), case


@needs_metrics
def test_recorded_runs_give_the_recorded_numbers() -> None:
    runs = list(cases("set_mme"))
    assert len(runs) == 2
    for run in runs:
        got = percents(PAPER, judge_run(MME, PAPER, run))
        for name, metric in NUMBERS.items():
            assert got[metric] == pytest.approx(run["expected"][name], abs=1e-6)
        assert run["expected"]["per_category"].keys() == set(ALL)
        for category, scores in run["expected"]["per_category"].items():
            assert got[category] == pytest.approx(scores["acc_score"], abs=1e-6)
            assert got[f"{category}+"] == pytest.approx(scores["acc_plus_score"], abs=1e-6)
            assert got[category] + got[f"{category}+"] == pytest.approx(scores["score"], abs=1e-6)


@needs_metrics
@pytest.mark.parametrize("preset", ["lmms-eval", "vlmevalkit"])
def test_recorded_runs_give_the_other_harnesses_numbers(preset: str) -> None:
    protocol = MME.protocols[preset]
    for run in cases("set_mme"):
        got = percents(protocol, judge_run(MME, protocol, run))
        for name, value in run["alt"][preset.replace("-", "_")].items():
            assert got[name] == pytest.approx(value, abs=1e-6)


def test_a_perfect_model_has_the_highest_score_of_each_metric() -> None:
    judged = [
        Judged(f"{category}{i}", {"question_id": category}, (), category, Judgement(1.0, "yes"))
        for category in ALL
        for i in range(2)
    ]
    # Fu et al. 2023: 2,000 points of perception, 800 of cognition.
    expected = {"perception": 2000, "cognition": 800, "total": 2800, "total/28": 100, "perception/20": 100}
    assert percents(PAPER, judged).items() >= expected.items()


def test_the_two_questions_of_a_picture_are_drawn_together_and_both_must_be_right() -> None:
    judged = [Judged(f"{i}", YES, (), "OCR", Judgement(float(i), "yes")) for i in range(2)]
    sums = add_up(PAPER.mark(judged))
    assert sums.groups == ["OCR/OCR/1.jpg"]
    assert dict(zip(sums.ratios, sums.values[0], strict=True)) == {"accuracy": 1, "OCR": 1, "OCR+": 0}


def test_a_sum_over_categories_needs_all_of_them() -> None:
    judged = [
        Judged(f"{category}{i}", {"question_id": category}, (), category, Judgement(1.0, "yes"))
        for category in PERCEPTION
        for i in range(2)
    ]
    got = percents(PAPER, judged)
    assert got["perception"] == 2000
    assert math.isnan(got["cognition"])
    assert math.isnan(got["total/28"])


def test_rows_of_one_picture_have_different_ids() -> None:
    assert MME.identify(YES, 0) != MME.identify(YES, 1)


def test_prompts() -> None:
    suffix = "\nAnswer the question using a single word or phrase."
    assert PAPER.prompt(YES) == "<image>\nA? Please answer yes or no." + suffix
    # lmms-eval deletes the data set's own sentence, VLMEvalKit adds nothing (both read in their sources).
    assert MME.protocols["lmms-eval"].prompt(YES) == "<image>\nA?" + suffix
    assert MME.protocols["vlmevalkit"].prompt(YES) == "<image>\nA? Please answer yes or no."


@pytest.mark.parametrize("answer", ["", " \n", "y" * 10_000, "да", "yes " * 2_500])
def test_odd_answers_are_wrong(answer: str) -> None:
    assert PAPER.judge(YES, answer) == (0.0, "")


def test_rows_that_cannot_be_scored_are_refused() -> None:
    MME.check(YES)
    with pytest.raises(ValueError, match="`answer` is 'maybe', but must be one of Yes, No"):
        MME.check({**YES, "answer": "maybe"})
    with pytest.raises(ValueError, match="`category` is 'ocr'"):
        MME.check({**YES, "category": "ocr"})
