"""Where answers differ: the questions that an arm wins or loses against a baseline, and a fair choice to read."""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.arms import Arm, check_comparable
from asvr.evaluation.benchmark import Judgement

WON, LOST = "won", "lost"
WRONG_OTHERWISE = "wrong otherwise"
"""Neither is wholly right, both have the same score, and something else was read from their answers."""
REWORDED = "reworded"
"""Other words, to the same effect."""
SAME = "same"
OUTCOMES = (WON, LOST, WRONG_OTHERWISE, REWORDED, SAME)

Judge = Callable[[Sequence[Answer]], Sequence[Judgement]]
"""Judges answers, in their order."""


class Given(NamedTuple):
    """What one arm said to one question.

    Args:
        answers: One per seed, as the model wrote them.
        judgements: Of each.
    """

    answers: tuple[str, ...]
    judgements: tuple[Judgement, ...]

    @property
    def score(self) -> float:
        """Gives the mean over seeds, the same in whatever order they come."""
        return math.fsum(judgement.score for judgement in self.judgements) / len(self.judgements)


class Asked(NamedTuple):
    """One question with what every arm said.

    Args:
        question: Any run's line about it; all but the answer is the same in all.
        given: By each arm, the baseline's first.
        outcomes: One of `OUTCOMES` for every arm but the baseline.
    """

    question: Answer
    given: tuple[Given, ...]
    outcomes: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Says whether any arm answered in other words than the baseline."""
        return any(outcome != SAME for outcome in self.outcomes)

    @property
    def decides(self) -> bool:
        """Says whether any arm won or lost."""
        return WON in self.outcomes or LOST in self.outcomes


def set_side_by_side(arms: Sequence[Arm], judge: Judge) -> list[Asked]:
    """Puts the answers of several arms to each question beside each other, in the order of the baseline's file.

    Args:
        arms: Two or more, the baseline's first; all answered the same questions with the same seeds.
        judge: Scores answers.

    Raises:
        ValueError: If the arms cannot be compared.
    """
    baseline, *others = arms
    for arm in others:
        check_comparable(baseline, arm)
    judged = [[_by_id(arm.runs[seed], judge) for seed in baseline.runs] for arm in arms]
    asked = []
    for question in next(iter(baseline.runs.values())):
        given = tuple(_given([run[question.id] for run in runs]) for runs in judged)
        asked.append(Asked(question, given, tuple(outcome(given[0], each) for each in given[1:])))
    return asked


def _by_id(answers: Sequence[Answer], judge: Judge) -> dict[str, tuple[str, Judgement]]:
    return {one.id: (one.answer, judgement) for one, judgement in zip(answers, judge(answers), strict=True)}


def _given(judged: Sequence[tuple[str, Judgement]]) -> Given:
    return Given(tuple(text for text, _ in judged), tuple(judgement for _, judgement in judged))


def outcome(baseline: Given, arm: Given) -> str:
    """Says how an arm stands beside the baseline in one question: one of `OUTCOMES`, by the mean score over seeds."""
    if arm.score != baseline.score:
        return WON if arm.score > baseline.score else LOST
    if arm.answers == baseline.answers:
        return SAME
    read, read_before = ([judgement.extracted for judgement in each.judgements] for each in (arm, baseline))
    return WRONG_OTHERWISE if read != read_before and arm.score < 1 else REWORDED


def count_outcomes(asked: Sequence[Asked]) -> list[dict[str, int]]:
    """Counts, for every arm but the baseline, the questions of each outcome."""
    counts = [Counter(outcomes) for outcomes in zip(*(each.outcomes for each in asked), strict=True)]
    return [{name: count[name] for name in OUTCOMES} for count in counts]


def choose(asked: Sequence[Asked], *, limit: int, seed: int = 0) -> list[Asked]:
    """Chooses questions to read among those that differ, by a rule that knows nothing of what they are about.

    Questions won or lost come first, others fill up. Each time, every category with every outcome gives one in turn,
    drawn at random, so that rare ones are seen too: how many there are of each kind is `count_outcomes`'s to say.

    Args:
        asked: What is chosen from.
        limit: At most so many.
        seed: Decides the draws.

    Returns:
        In the order of `asked`.
    """
    differing = [each for each in asked if each.differs]
    drawn: Counter[tuple[str, ...]] = Counter()
    turns: dict[str, tuple[bool, int]] = {}
    for each in random.Random(seed).sample(differing, len(differing)):
        kind = (each.question.category, *each.outcomes)
        turns[each.question.id] = (not each.decides, drawn[kind])
        drawn[kind] += 1
    chosen = set(sorted(turns, key=lambda name: turns[name])[:limit])
    return [each for each in differing if each.question.id in chosen]
