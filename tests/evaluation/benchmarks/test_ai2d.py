import pytest

from asvr.evaluation.benchmarks.ai2d import AI2D

from .golden import cases, needs_metrics
from .recorded import check_answers, check_other, check_prompts, runs

PAPER, LMMS_EVAL, VLMEVALKIT = AI2D.protocols.values()
ROW = {"question": "What is C?", "options": ["egg", "larva", "pupa", "the moth's wing"], "answer": "2"}


@needs_metrics
def test_recorded_answers() -> None:
    check_answers(AI2D, "mcq_ai2d", number=40)
    check_other(VLMEVALKIT, "mcq_ai2d", "vlmevalkit")
    # What lmms-eval extracted is recorded before it takes marks out and lowers the case; only the verdict can be held.
    for case in cases("mcq_ai2d"):
        verdict = float(case["alt"]["lmms_eval"]["correct"])
        assert LMMS_EVAL.judge(case["item"], case["prediction"]).score == verdict, case


@needs_metrics
def test_recorded_prompts() -> None:
    check_prompts(AI2D, number=1)


@needs_metrics
def test_recorded_runs() -> None:
    for run, got in runs(AI2D, "paper", "set_means"):
        assert got == {"accuracy": pytest.approx(run["expected"]["score"])}


@pytest.mark.parametrize(("answer", "score"), [("C", 1), ("2", 1), ("(2)", 1), ("3", 0), ("C.", 1), ("pupa", 0)])
def test_the_number_of_the_option_is_also_right(answer: str, score: int) -> None:
    assert PAPER.judge(ROW, answer).score == score


@pytest.mark.parametrize("answer", [2, "2"])
def test_the_answer_may_be_a_number(answer: object) -> None:
    row = {**ROW, "answer": answer}
    AI2D.check(row)
    assert (AI2D.reference(row), PAPER.judge(row, "C").score) == ("C. pupa", 1)


@pytest.mark.parametrize("preset", ["paper", "lmms-eval"])
def test_prompts(preset: str) -> None:
    assert AI2D.protocols[preset].prompt(ROW) == (
        "<image>\nWhat is C?\nA. egg\nB. larva\nC. pupa\nD. the moth's wing\n"
        "Answer with the option's letter from the given choices directly."
    )


@pytest.mark.parametrize("answer", ["4", "-1", "C", "", None])
def test_an_answer_that_is_no_option_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="the answer is ''"):
        AI2D.check({**ROW, "answer": answer})


def test_options_must_be_a_list() -> None:
    with pytest.raises(ValueError, match="`options` is 'egg, larva, pupa', but must be a list of texts"):
        AI2D.check({**ROW, "options": "egg, larva, pupa"})


def test_rows_are_named_by_their_place() -> None:
    assert AI2D.identify(ROW, 12) == "12"
