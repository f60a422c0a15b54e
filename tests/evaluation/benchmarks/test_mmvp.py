import pytest

from asvr.evaluation.benchmark import Judged
from asvr.evaluation.benchmarks.mmvp import CORRECTED, MMVP, PAIRS
from asvr.evaluation.sums import add_up

from .golden import needs_metrics, percents
from .recorded import check_answers, check_other, check_prompts, runs

PAPER, LMMS_EVAL, VLMEVALKIT = MMVP.protocols.values()
ROW = {"Index": 3, "Question": "Which way?", "Options": "(a) Left (b) Right", "Correct Answer": "(a)"}


@needs_metrics
def test_recorded_answers() -> None:
    check_answers(MMVP, "mcq_mmvp", number=40)
    check_other(LMMS_EVAL, "mcq_mmvp", "lmms_eval")


@needs_metrics
def test_recorded_prompts() -> None:
    check_prompts(MMVP, number=1)


@needs_metrics
def test_recorded_runs() -> None:
    for run, got in runs(MMVP, "paper", "set_mmvp"):
        assert got[PAIRS] == pytest.approx(run["expected"]["pair_accuracy"])
        assert got[PAIRS] * len(run["item"]["rows"]) / 200 == pytest.approx(run["expected"]["correct_pairs"])
    for run, got in runs(MMVP, "lmms-eval", "set_mmvp"):
        expected = run["alt"]["lmms_eval"]
        assert got == pytest.approx({PAIRS: expected["pair_accuracy"], "accuracy": expected["accuracy"]})


def judged(*answers: str) -> list[Judged]:
    """Rows 1, 2, 3 and so on, all with the answer (a)."""
    rows = [{**ROW, "Index": index} for index in range(1, len(answers) + 1)]
    return [Judged("", row, (), "", PAPER.judge(row, answer)) for row, answer in zip(rows, answers, strict=True)]


def test_a_pair_is_right_only_whole() -> None:
    # Right are the rows 1 and 2 of the first pair, row 3 of the second, and row 5, whose pair is not whole.
    assert percents(PAPER, judged("A", "A", "A", "B", "A")) == {PAIRS: pytest.approx(100 / 3), "accuracy": 80}
    assert add_up(PAPER.mark(judged(*"AAABA"))).groups == ["1", "2", "3"]


def test_a_pair_is_found_by_its_numbers() -> None:
    first, second, third, fourth = judged("A", "B", "A", "A")
    assert percents(PAPER, [fourth, second, third, first])[PAIRS] == 50


def test_the_headline_is_over_pairs_or_rows() -> None:
    assert (PAPER.headline, LMMS_EVAL.headline, VLMEVALKIT.headline) == (PAIRS, PAIRS, "accuracy")


@pytest.mark.parametrize(("answer", "score"), [("a", 1), ("(A)", 1), ("Left.", 1), ("A. Left", 0), ("B", 0)])
def test_letter_or_text_must_stand_alone(answer: str, score: int) -> None:
    assert PAPER.judge(ROW, answer).score == score


@pytest.mark.parametrize("index", CORRECTED)
def test_lmms_eval_corrects_two_pairs(index: int) -> None:
    row = {**ROW, "Index": index, "Correct Answer": "(a)" if CORRECTED[index] == "B" else "(b)"}
    assert LMMS_EVAL.judge(row, CORRECTED[index]).score == 1 - PAPER.judge(row, CORRECTED[index]).score == 1


def test_the_hub_s_spelling_of_the_index() -> None:
    row = {"lndex": "3", **{column: value for column, value in ROW.items() if column != "Index"}}
    MMVP.check(row)
    assert MMVP.identify(row, 0) == MMVP.identify(ROW, 0) == "3"
    assert MMVP.table.files is not None
    assert MMVP.table.files(row) == ("MMVP Images/3.jpg",)


def test_prompts() -> None:
    options, suffix = "A. Left\nB. Right", "Answer with the option's letter from the given choices directly."
    assert PAPER.prompt(ROW) == f"<image>\nWhich way? Options:\n{options}\n{suffix}"
    assert LMMS_EVAL.prompt(ROW) == f"<image>\nWhich way?\n{options}\n{suffix}"
    assert VLMEVALKIT.prompt(ROW).startswith(f"<image>\nQuestion: Which way?\nOptions:\n{options}\n")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"Options": "Left or right"}, "`Options` is 'Left or right', but must be as"),
        ({"Options": "(a) (b) Right"}, "needs at least 2 options"),
        ({"Correct Answer": "(c)"}, "the answer is 'C'"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused(change: dict, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        MMVP.check({**ROW, **change})


def test_a_row_needs_a_number() -> None:
    with pytest.raises(ValueError, match="has neither Index nor lndex"):
        MMVP.check({column: value for column, value in ROW.items() if column != "Index"})
