from dataclasses import replace

import pytest

from asvr.evaluation.benchmark import Judged
from asvr.evaluation.benchmarks.mmbench import CIRCULAR, MMBENCH, ROTATION, VANILLA
from asvr.evaluation.sums import add_up

from .golden import needs_metrics, percents
from .recorded import check_answers, check_other, check_prompts, runs

PAPER, LMMS_EVAL, VLMEVALKIT = MMBENCH.protocols.values()
ROW = {
    **{"index": 7, "question": "Which?", "hint": "nan", "A": "cat", "B": "dog", "C": "nan", "D": "nan"},
    **{"answer": "B", "category": "object_localization"},
}


@needs_metrics
def test_recorded_answers() -> None:
    check_answers(MMBENCH, "mcq_mmbench", number=76)
    check_other(LMMS_EVAL, "mcq_mmbench", "lmms_eval_static_letter")
    check_other(VLMEVALKIT, "mcq_mmbench", "vlmevalkit_letter")


@needs_metrics
def test_recorded_prompts() -> None:
    check_prompts(MMBENCH, number=2)


@needs_metrics
def test_recorded_runs() -> None:
    for run, got in runs(MMBENCH, "paper", "set_mmbench"):
        assert got[CIRCULAR] == pytest.approx(run["expected"]["circular_accuracy"])
        assert got[VANILLA] == pytest.approx(run["expected"]["vanilla_accuracy"])
        by_category = {name: got[name] for name in run["expected"]["per_category_circular"]}
        assert by_category == pytest.approx(run["expected"]["per_category_circular"])
        assert set(got) == {CIRCULAR, VANILLA, *by_category}
    for preset, name in (("lmms-eval", "lmms_eval_static"), ("vlmevalkit", "vlmevalkit_exact_matching")):
        for run, got in runs(MMBENCH, preset, "set_mmbench"):
            assert got[CIRCULAR] == pytest.approx(run["alt"][name]["circular_accuracy"])


@needs_metrics
def test_a_group_is_a_base_question() -> None:
    for run, _ in runs(MMBENCH, "paper", "set_mmbench"):
        judged = [
            Judged(str(number), row, (), row["category"], PAPER.judge(row, ""))
            for number, row in enumerate(run["item"]["rows"])
        ]
        assert len(add_up(PAPER.mark(judged)).groups) == run["expected"]["circular_count"]


def test_one_wrong_rotation_makes_the_question_wrong() -> None:
    rows = [ROW, {**ROW, "index": 7 + ROTATION, "answer": "A"}, {**ROW, "index": 8}]
    judged = [
        Judged(MMBENCH.identify(row, 0), row, (), MMBENCH.category(row), PAPER.judge(row, answer))
        for row, answer in zip(rows, "BBB", strict=True)
    ]
    # Question 7 is right in one of its two rotations, question 8 in its only one.
    assert percents(PAPER, judged) == {CIRCULAR: 50, "object_localization": 50, VANILLA: pytest.approx(200 / 3)}
    assert [each.id for each in judged] == ["7", "1000007", "8"]


def test_prompts() -> None:
    row = {**ROW, "hint": "Look."}
    suffix = "Answer with the option's letter from the given choices directly."
    assert PAPER.prompt(row) == f"<image>\nLook.\nWhich? Options:\nA. cat\nB. dog\n{suffix}"
    lines = "There are several options:\nA. cat\nB. dog\n\n" + suffix
    assert LMMS_EVAL.prompt(row) == f"<image>\nLook. Which? {lines}"
    assert LMMS_EVAL.prompt(ROW) == f"<image>\nWhich? {lines}"
    assert VLMEVALKIT.prompt(row).startswith("<image>\nHint: Look.\nQuestion: Which?\nOptions:\nA. cat\n")
    assert VLMEVALKIT.prompt(ROW).startswith("<image>\nQuestion: Which?\n")


@pytest.mark.parametrize(
    ("answer", "letter"),
    # An A among more than three words may be an article; a full stop tells more than a comma; then an option's text.
    [("A dog is", "a"), ("A dog it is", "b"), ("A, or B.", "b"), ("Dogs", "b"), ("cat, dog", ""), ("(E)", "e")],
)
def test_lmms_eval_s_static_rule(answer: str, letter: str) -> None:
    assert LMMS_EVAL.judge(ROW, answer).extracted == letter


@pytest.mark.parametrize("missing", ["nan", float("nan"), "", None])
def test_missing_hints_and_options_are_written_in_several_ways(missing: object) -> None:
    row = {**ROW, "hint": missing, "C": missing, "D": missing}
    assert PAPER.prompt(row) == PAPER.prompt(ROW)
    MMBENCH.check(row)


@pytest.mark.parametrize("change", [{"B": "nan"}, {"answer": "C"}, {"answer": "b"}, {"answer": None}])
def test_a_row_that_cannot_be_scored_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="needs at least 2 options"):
        MMBENCH.check({**ROW, **change})


def test_presets_differ_in_nothing_else() -> None:
    for protocol in (LMMS_EVAL, VLMEVALKIT):
        same = {name: protocol.__dict__[name] for name in ("prompt", "judge", "max_new_tokens", "note")}
        assert replace(PAPER, **same) == protocol
