"""Right answers of two arms, counted by group of questions and category: all that a comparison needs of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.arms import Arm
from asvr.evaluation.score import category_of, correct


class Tally(NamedTuple):
    """Counts with one row per group of questions, and one column per category plus a last one for all together.

    Args:
        seeds: Names of the runs, in the order of the arrays.
        categories: Names of all columns but the last.
        num_questions: Questions of each group.
        right_a: Right answers of one arm.
        right_b: Of the other.
    """

    seeds: list[str]
    categories: list[str]
    num_questions: Float[np.ndarray, "groups columns"]
    right_a: Float[np.ndarray, "seeds groups columns"]
    right_b: Float[np.ndarray, "seeds groups columns"]


def tally(a: Arm, b: Arm) -> Tally:
    """Counts the right answers of two arms that are known to be comparable.

    A group is all questions about the same pictures; a question about none is a group by itself.
    """
    questions = _sorted(next(iter(a.runs.values())))
    keys = [question.images or (question.id,) for question in questions]
    groups = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    categories = sorted({category_of(question) for question in questions})
    rows = np.array([groups[key] for key in keys])
    columns = np.array([categories.index(category_of(question)) for question in questions])

    def add_up(values: Float[np.ndarray, " questions"]) -> Float[np.ndarray, "groups columns"]:
        sums = np.zeros((len(groups), len(categories) + 1))
        np.add.at(sums, (rows, columns), values)
        sums[:, -1] = sums.sum(1)
        return sums

    right_a, right_b = (np.stack([add_up(_marks(arm.runs[seed])) for seed in a.runs]) for arm in (a, b))
    return Tally(list(a.runs), categories, add_up(np.ones(len(questions))), right_a, right_b)


def _marks(answers: Sequence[Answer]) -> Float[np.ndarray, " questions"]:
    return np.array([float(correct(answer.answer, answer.reference)) for answer in _sorted(answers)])


def _sorted(answers: Sequence[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda answer: answer.id)
