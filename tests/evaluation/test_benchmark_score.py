import json
from pathlib import Path

import pytest

from asvr.evaluation.answer_file import Answer, Header, append_answers, write_header
from asvr.evaluation.benchmark_score import judge_answers, score_benchmark, write_benchmark_scores
from asvr.evaluation.benchmarks import BENCHMARKS

POPE, MME = BENCHMARKS["pope"], BENCHMARKS["mme"]


def pope(number: int, said: str, right: str) -> Answer:
    item = {"question_id": str(number), "question": "Is there?", "answer": right, "category": "random"}
    return Answer(f"random/{number}", "random", ("0" * 64,), "<image>\nIs there?", said, right, item)


# Two "yes" that are right, one that is wrong, one that is missing; an empty answer and one without yes or no.
ANSWERS = [
    pope(0, "yes", "yes"),
    pope(1, " Yes.", "yes"),
    pope(2, "yes", "no"),
    pope(3, "no", "yes"),
    pope(4, " \n", "no"),
    pope(5, "!", "no"),
]


def write(folder: Path, **changes: object) -> Path:
    fields = {"num_questions": len(ANSWERS), "benchmark": "pope", "protocol": "paper", "left_out": {"a film": 3}}
    write_header(folder, Header("m", "h", "p", "d", 128, None, versions={}, **{**fields, **changes}))
    append_answers(folder, ANSWERS)
    return folder


def test_the_scores_are_those_counted_by_hand():
    scores = score_benchmark(POPE, "paper", ANSWERS, left_out={})
    # Right: 0 and 1. F1: two right "yes" of three said and of three due, so 2 * 2 / (3 + 3).
    assert scores.value == pytest.approx(100 * 2 / 6)
    assert scores.metrics["F1"] == pytest.approx(100 * 4 / 6)
    assert scores.ratios["random"] == pytest.approx(100 * 2 / 6)
    assert (scores.num_questions, scores.num_empty) == (6, 1)


def test_what_could_not_be_read_is_counted_beside_what_is_empty():
    scores = score_benchmark(POPE, "paper", ANSWERS, left_out={})
    extracted = [each.judgement.extracted for each in judge_answers(POPE, "paper", ANSWERS)]
    assert extracted[:5] == ["yes", "yes", "yes", "no", ""]
    assert scores.num_unread == (0 if extracted[5] else 1)


def test_the_order_of_the_answers_makes_no_difference():
    assert score_benchmark(POPE, "paper", ANSWERS[::-1], left_out={}) == score_benchmark(
        POPE, "paper", ANSWERS, left_out={}
    )


def test_a_metric_of_what_was_not_asked_is_none():
    item = {"question_id": "a.png", "question": "Is it?", "answer": "Yes", "category": "color"}
    answers = [Answer("color/a.png/0", "color", ("0" * 64,), "<image>\nIs it?", "yes", "Yes", item)]
    scores = score_benchmark(MME, "paper", answers, left_out={})
    assert scores.value is None
    assert scores.metrics["accuracy"] == 100


def test_the_file_of_scores_has_all_that_a_reader_needs(tmp_path: Path):
    write_benchmark_scores(write(tmp_path))
    content = json.loads((tmp_path / "scores.json").read_text())
    assert (content["benchmark"], content["protocol"], content["headline"]) == ("pope", "paper", "accuracy")
    assert content["left_out"] == {"a film": 3}
    assert content["note"] == POPE.protocols["paper"].note
    assert content["provenance"] == json.loads((tmp_path / "answers.meta.json").read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_questions": 7}, "6 of 7 questions are answered"),
        ({"benchmark": ""}, "no benchmark ''. Choose of textvqa"),
        ({"protocol": "ours"}, "no preset 'ours'. Choose of paper"),
        ({"benchmark": "mmbench"}, "an answer does not say 'index' of its question"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(changes: dict[str, object], message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        write_benchmark_scores(write(tmp_path, **changes))
