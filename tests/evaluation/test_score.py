import pytest

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.score import correct, normalise, score


def _answer(name: str, category: str, answer: str, reference: str) -> Answer:
    return Answer(id=name, category=category, images=(), question="?", answer=answer, reference=reference)


@pytest.mark.parametrize("said", ["yes", " Yes", "YES.", "yes .\n", "yes. "])
def test_space_case_and_a_final_full_stop_do_not_make_an_answer_wrong(said: str):
    assert correct(said, "yes")
    assert normalise(said) == "yes"


@pytest.mark.parametrize("said", ["yes!", "a yes", "yes, it is", "", "yes..", "y es"])
def test_anything_else_does(said: str):
    assert not correct(said, "yes")


def test_kinds_count_the_same_in_the_average_and_questions_the_same_overall():
    answers = [
        _answer("0", "count", "1", "1"),
        _answer("1", "count", "2", "1"),
        _answer("2", "count", "3", "1"),
        _answer("3", "count", "4", "1"),
        _answer("4", "exist", "yes", "yes"),
        _answer("5", "", "red", "red"),
    ]
    scores = score(answers)
    # count: 1 of 4; exist and the nameless one: 1 of 1 each.
    assert scores.accuracy == {"all": 100, "count": 25, "exist": 100}
    assert scores.num_questions == {"all": 1, "count": 4, "exist": 1}
    assert scores.average == 75
    assert scores.overall == 50


def test_no_answers_have_no_score():
    with pytest.raises(ValueError, match="no answers to score"):
        score([])
