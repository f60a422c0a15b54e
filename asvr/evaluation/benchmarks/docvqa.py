"""DocVQA: what does the scanned page say? An answer counts by how few characters of it are wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from asvr.evaluation.benchmark import Benchmark, Item, Judged, Judgement, Mark, Protocol, Table, percent, picture_group
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_question, reference_texts
from asvr.evaluation.edit_distance import edit_distance

ANLS = "ANLS"
THRESHOLD = 0.5
"""An answer less similar than this to every reference is worth nothing."""

_BETWEEN = ", "


def judge(item: Item, answer: str) -> Judgement:
    """Scores the similarity to the nearest reference (average normalised Levenshtein similarity, ANLS)."""
    answer = answer.strip()
    similarity = max(_similarity(answer, reference) for reference in reference_texts(item, "answers"))
    return Judgement(similarity if similarity >= THRESHOLD else 0.0, _plain(answer))


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each question in all, and in each of its kinds; it has one or several, such as "form" and "layout"."""
    for each in judged:
        for ratio in (ANLS, *filter(None, each.category.split(_BETWEEN))):
            yield Mark(ratio, picture_group(each), each.judgement.score)


def check(item: Item) -> None:
    """Refuses a row without a question or without right answers, as those of the test split are.

    Raises:
        ValueError: Saying what is missing.
    """
    check_question(item)
    reference_texts(item, "answers")


def _similarity(answer: str, reference: str) -> float:
    # The scorers measure capitals, in which "ß" is "SS", and white space that the compared texts have no more.
    longest = max(len(answer.upper()), len(reference.upper()))
    return 1 - edit_distance(_plain(answer), _plain(reference)) / longest if longest else 1.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


PAPER = Protocol(
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=judge,
    headline=ANLS,
    metrics={ANLS: percent(ANLS)},
    mark=mark,
    max_new_tokens=128,
    note=(
        "On the validation split, scored here: Cambrian-1 writes answers to the test split for the challenge's server. "
        "The paper does not say which split its values are from."
    ),
)

DOCVQA = Benchmark(
    name="docvqa",
    column="DVQA",
    table=Table(
        hub="lmms-lab/DocVQA",
        config="DocVQA",
        split="validation",
        num_rows=5_349,
        size="about 1 GB",
        columns=("questionId", "question", "answers"),
        nested=("answers", "question_types"),
    ),
    identify=lambda item, number: str(item["questionId"]),
    reference=lambda item: " / ".join(reference_texts(item, "answers")),
    category=lambda item: _BETWEEN.join(item.get("question_types") or ()),
    check=check,
    protocols={
        "paper": PAPER,
        "lmms-eval": replace(PAPER, max_new_tokens=32),
        "vlmevalkit": replace(PAPER, max_new_tokens=512),
    },
    source="Mathew et al. 2021 (arXiv 2007.00398); lmms-eval 75571cf; VLMEvalKit e8e78f0",
)
