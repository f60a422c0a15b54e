import pytest

from asvr.evaluation.benchmarks.realworldqa import REALWORLDQA

from .golden import needs_metrics
from .recorded import check_answers, check_other, check_prompts, runs

PAPER, LMMS_EVAL, VLMEVALKIT = REALWORLDQA.protocols.values()
ROW = {"question": "Which lane?\n\nA. Left\nB. Right\n\nPlease answer.\n", "answer": "A"}
OPEN = {"question": "How far? Please answer directly with a single word or number.", "answer": "1/2"}


@needs_metrics
def test_recorded_answers() -> None:
    check_answers(REALWORLDQA, "mcq_realworldqa", number=38)
    check_answers(REALWORLDQA, "open_realworldqa", number=23)
    for file in ("mcq_realworldqa", "open_realworldqa"):
        check_other(LMMS_EVAL, file, "lmms_eval")


@needs_metrics
def test_recorded_prompts() -> None:
    check_prompts(REALWORLDQA, number=2)


@needs_metrics
def test_recorded_runs() -> None:
    for run, got in runs(REALWORLDQA, "paper", "set_means"):
        assert got == {"accuracy": pytest.approx(run["expected"]["score"])}


@pytest.mark.parametrize(
    ("answer", "score"), [("A", 1), ("a.", 1), ("(A)", 0), ("A. Left", 0), ("A left", 1), ("Left", 0), (".", 0)]
)
def test_the_first_word_is_the_answer(answer: str, score: int) -> None:
    # benchmarks.md, section 11, names these quirks.
    assert PAPER.judge(ROW, answer).score == score


def test_prompts() -> None:
    assert PAPER.prompt(ROW) == VLMEVALKIT.prompt(ROW) == "<image>\n" + ROW["question"]
    assert LMMS_EVAL.prompt(ROW) == "<image>\n" + ROW["question"].strip()


def test_vlmevalkit_is_the_paper_s_and_says_so() -> None:
    assert VLMEVALKIT.judge is PAPER.judge
    assert "asked and scored as under 'paper'" in VLMEVALKIT.note


def test_readers_see_an_open_answer_as_it_is() -> None:
    assert REALWORLDQA.reference(OPEN) == "1/2"


def test_a_row_that_cannot_be_scored_is_refused() -> None:
    REALWORLDQA.check(OPEN)
    with pytest.raises(ValueError, match="`answer` is ' ', but must be a letter, a word or a number"):
        REALWORLDQA.check({**OPEN, "answer": " "})


def test_rows_are_named_by_their_place() -> None:
    assert REALWORLDQA.identify(ROW, 3) == "3"
