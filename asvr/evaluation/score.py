"""Accuracy per kind of question, from answers that were kept; no model is near."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asvr.evaluation.answer_file import Answer, read_complete

SCORES = "scores.json"
UNNAMED = "all"
"""What questions without a category are reported as."""


@dataclass(frozen=True)
class Scores:
    """How often the answers were right.

    Args:
        accuracy: Percent right, by category in alphabetical order.
        num_questions: Number of questions, by category.
        average: Mean of the categories' percentages, each category counting the same.
        overall: Percent right of all questions, each question counting the same.
    """

    accuracy: dict[str, float]
    num_questions: dict[str, int]
    average: float
    overall: float


def normalise(text: str) -> str:
    """Takes away what does not make an answer wrong: white space at the ends, one full stop at the end, and case.

    Nothing else is forgiven: articles, other punctuation and words for digits make a different answer.
    """
    return text.strip().removesuffix(".").rstrip().casefold()


def correct(answer: str, reference: str) -> bool:
    """Says whether two texts are the same after `normalise`."""
    return normalise(answer) == normalise(reference)


def category_of(answer: Answer) -> str:
    """Gives the name under which a question is reported."""
    return answer.category or UNNAMED


def score(answers: Sequence[Answer]) -> Scores:
    """Scores the answers of one model.

    Raises:
        ValueError: If there are none.
    """
    if not answers:
        raise ValueError("There are no answers to score. Evaluate on at least one question.")
    right: dict[str, list[bool]] = {category: [] for category in sorted({category_of(answer) for answer in answers})}
    for answer in answers:
        right[category_of(answer)].append(correct(answer.answer, answer.reference))
    accuracy = {category: 100 * sum(marks) / len(marks) for category, marks in right.items()}
    return Scores(
        accuracy=accuracy,
        num_questions={category: len(marks) for category, marks in right.items()},
        average=sum(accuracy.values()) / len(accuracy),
        overall=100 * sum(map(sum, right.values())) / len(answers),
    )


def write_scores(folder: Path) -> Scores:
    """Scores a folder of answers and writes `scores.json` beside them: the fields of `Scores` and of the header.

    Raises:
        FileNotFoundError: If the folder holds no evaluation.
        ValueError: If the evaluation is broken or not finished.
    """
    header, answers = read_complete(folder)
    scores = score(answers)
    content = {"scores": asdict(scores), "provenance": asdict(header)}
    (folder / SCORES).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return scores
