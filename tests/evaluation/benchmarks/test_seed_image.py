import pytest

from asvr.evaluation.benchmarks.seed_image import SEED_IMAGE

from .golden import needs_metrics
from .recorded import check_answers, check_other, check_prompts, runs

PAPER, LMMS_EVAL, VLMEVALKIT = SEED_IMAGE.protocols.values()
ROW = {
    **{"question_id": "101", "question": "Where?", "choice_a": "Left", "choice_b": "Right", "choice_c": "Up"},
    **{"choice_d": "Down", "answer": "C", "question_type_id": 6, "data_type": "image"},
}


@needs_metrics
def test_recorded_answers() -> None:
    check_answers(SEED_IMAGE, "mcq_seed", number=38)
    check_other(LMMS_EVAL, "mcq_seed", "lmms_eval")
    check_other(VLMEVALKIT, "mcq_seed", "vlmevalkit")


@needs_metrics
def test_recorded_prompts() -> None:
    check_prompts(SEED_IMAGE, number=2)


@needs_metrics
def test_recorded_runs_without_their_videos() -> None:
    for run, got in runs(SEED_IMAGE, "paper", "set_seed"):
        assert got.pop("accuracy") == pytest.approx(run["expected"]["accuracy"])
        assert got == pytest.approx(run["expected"]["per_type"])
        left_in = [row for row in run["item"]["rows"] if not SEED_IMAGE.leave_out(row)]
        assert len(left_in) == run["expected"]["n_image"] < len(run["item"]["rows"])
    for run, got in runs(SEED_IMAGE, "lmms-eval", "set_seed"):
        # seed_all also has the videos, which are not part of this benchmark.
        assert got["accuracy"] == pytest.approx(run["alt"]["lmms_eval"]["seed_image"])


def test_prompts() -> None:
    options = "A. Left\nB. Right\nC. Up\nD. Down"
    suffix = "Answer with the option's letter from the given choices directly."
    assert PAPER.prompt(ROW) == f"<image>\nWhere? Options:\n{options}\n{suffix}"
    assert LMMS_EVAL.prompt(ROW) == f"<image>\nWhere?\n{options}\n{suffix}"
    assert VLMEVALKIT.prompt(ROW).startswith(f"<image>\nQuestion: Where?\nOptions:\n{options}\n")


def test_only_full_stops_are_taken_off_the_end() -> None:
    assert [PAPER.judge(ROW, answer).extracted for answer in ("C.", ":", ".")] == ["c", ":", ""]


def test_videos_are_left_out() -> None:
    assert SEED_IMAGE.leave_out(ROW) == ""
    assert SEED_IMAGE.leave_out({**ROW, "data_type": "video", "question_type_id": 10}) == "about a video"


def test_a_row_that_cannot_be_scored_is_refused() -> None:
    SEED_IMAGE.check(ROW)
    with pytest.raises(ValueError, match="`question_type_id` is 10, but must be 1 to 9"):
        SEED_IMAGE.check({**ROW, "question_type_id": 10})
    with pytest.raises(ValueError, match="the answer is 'C', but a question needs at least 2 options"):
        SEED_IMAGE.check({**ROW, "choice_c": ""})


def test_kind_and_id() -> None:
    assert (SEED_IMAGE.category(ROW), SEED_IMAGE.identify(ROW, 0)) == ("Spatial Relation", "101")
