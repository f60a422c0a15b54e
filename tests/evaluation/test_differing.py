import dataclasses
import itertools
from collections.abc import Sequence

import pytest

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.arms import Arm
from asvr.evaluation.benchmark import Judgement
from asvr.evaluation.differing import (
    LOST,
    REWORDED,
    SAME,
    WON,
    WRONG_OTHERWISE,
    Asked,
    Given,
    choose,
    count_outcomes,
    outcome,
    set_side_by_side,
)
from tests.evaluation.arms import make_arm

NOTES = {"4": 1.0, "four": 1.0, "four or so": 0.3, "5": 0.0, "six": 0.0, "6": 0.0, "": 0.0}
READ = {"4": "4", "four": "4", "four or so": "4", "5": "5", "six": "6", "6": "6", "": ""}


def judge(answers: Sequence[Answer]) -> list[Judgement]:
    return [Judgement(NOTES[answer.answer], READ[answer.answer]) for answer in answers]


def given(*answers: str) -> Given:
    line = Answer(id="q", category="", images=(), question="?", answer="", reference="4")
    return Given(answers, tuple(judge([dataclasses.replace(line, answer=text) for text in answers])))


def an_arm(name: str, *runs: tuple[str, ...]) -> Arm:
    lines = {
        f"seed-{seed}": tuple(
            Answer(id=f"q{index}", category="", images=(), question="2 + 2?", answer=text, reference="4")
            for index, text in enumerate(texts)
        )
        for seed, texts in enumerate(runs)
    }
    return Arm(name=name, prompt_hash="hash", runs=lines)


@pytest.mark.parametrize(
    ("baseline", "arm", "expected"),
    [
        ("5", "4", WON),
        ("four or so", "4", WON),
        ("4", "four or so", LOST),
        ("5", "6", WRONG_OTHERWISE),
        ("5", "", WRONG_OTHERWISE),
        ("six", "6", REWORDED),
        ("4", "four", REWORDED),
        ("5", "5", SAME),
        ("4", "4", SAME),
    ],
)
def test_outcome_of_one_seed(baseline: str, arm: str, expected: str):
    assert outcome(given(baseline), given(arm)) == expected


def test_seeds_are_judged_by_their_mean():
    assert outcome(given("4", "5", "5"), given("5", "4", "4")) == WON
    # One of three right on both sides, but in other seeds: nothing is won, and what was read is not the same.
    assert outcome(given("4", "5", "5"), given("5", "4", "5")) == WRONG_OTHERWISE


def test_the_mean_does_not_depend_on_the_order_of_seeds():
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 are different floats.
    judgements = [Judgement(score, "") for score in (0.1, 0.2, 0.3)]
    means = {Given(("", "", ""), tuple(each)).score for each in itertools.permutations(judgements)}
    assert len(means) == 1


def test_answers_stand_beside_each_other_by_id_whatever_the_order():
    baseline, arm = an_arm("a", ("5", "4"), ("4", "4")), an_arm("b", ("4", "4"), ("4", "5"))
    turned = dataclasses.replace(arm, runs={seed: lines[::-1] for seed, lines in reversed(list(arm.runs.items()))})
    asked = set_side_by_side([baseline, turned], judge)
    assert [each.question.id for each in asked] == ["q0", "q1"]
    assert [[side.answers for side in each.given] for each in asked] == [
        [("5", "4"), ("4", "4")],
        [("4", "4"), ("4", "5")],
    ]
    assert [each.outcomes for each in asked] == [(WON,), (LOST,)]
    assert asked[0].given[0].score == 0.5


def test_every_question_is_counted_once_for_each_arm():
    arms = [
        an_arm("a", ("5", "4", "5", "six", "4")),
        an_arm("b", ("4", "5", "6", "6", "4")),
        an_arm("c", ("5", "4", "5", "six", "four")),
    ]
    assert count_outcomes(set_side_by_side(arms, judge)) == [
        {WON: 1, LOST: 1, WRONG_OTHERWISE: 1, REWORDED: 1, SAME: 1},
        {WON: 0, LOST: 0, WRONG_OTHERWISE: 0, REWORDED: 1, SAME: 4},
    ]


def test_arms_that_answered_other_questions_are_refused():
    with pytest.raises(ValueError, match="prompt hashes"):
        set_side_by_side([make_arm("a", [[True]]), make_arm("b", [[True]], prompt_hash="other")], judge)


def questions(number: int, *, category: str, result: str) -> list[Asked]:
    line = Answer(id="", category=category, images=(), question="?", answer="", reference="4")
    return [
        Asked(dataclasses.replace(line, id=f"{category}-{result}-{index}"), (given("4"), given("4")), (result,))
        for index in range(number)
    ]


def test_choice_takes_what_decides_first_and_every_category_in_turn():
    rare, common = questions(3, category="rare", result=LOST), questions(500, category="common", result=WON)
    asked = [*questions(50, category="rare", result=REWORDED), *common, *rare, *questions(9, category="x", result=SAME)]
    chosen = choose(asked, limit=10)
    assert [each.question.category for each in chosen] == ["common"] * 7 + ["rare"] * 3
    assert all(each.decides for each in chosen)
    assert len({each.question.id for each in choose(asked, limit=1000)}) == 553


def test_choice_is_the_same_every_time_and_another_with_another_seed():
    asked = questions(100, category="", result=WON)
    first, again, other = (choose(asked, limit=5, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    order = [asked.index(each) for each in first]
    assert order == sorted(order)
