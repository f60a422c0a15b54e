"""POPE: is an object in the picture? Half of the 9,000 questions ask for one that is not."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import (
    ACCURACY,
    Benchmark,
    Item,
    Judged,
    Judgement,
    Mark,
    Protocol,
    Table,
    mark_each,
    percent,
    picture_group,
)

SUFFIX = "Answer the question using a single word or phrase."
F1 = "F1"


def prompt(item: Item) -> str:
    """Puts Table 5's sentence below the question."""
    return f"{IMAGE_MARKER}\n{item['question']}\n{SUFFIX}"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first word, without what ends it; it must be the reference itself. An empty answer is wrong."""
    words = answer.lower().split()
    said = words[0].rstrip(".:,") if words else ""
    return Judgement(float(said == item["answer"].lower()), said)


def judge_whole(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: the whole answer must be the reference, case aside."""
    said = answer.lower().strip()
    return Judgement(float(said == item["answer"].lower().strip()), said)


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each question, and for F1 the "yes" that were right (twice), wrong or missing; F1 is a ratio of sums."""
    yield from mark_each(judged)
    for each in judged:
        is_yes, says_yes = each.item["answer"].lower() == "yes", each.judgement.extracted == "yes"
        if is_yes or says_yes:
            both = is_yes and says_yes
            yield Mark(F1, picture_group(each), 2.0 * both, 1.0 + both)


PAPER = Protocol(
    prompt=prompt,
    judge=judge,
    mark=mark,
    metrics={ACCURACY: percent(ACCURACY), F1: percent(F1)},
    max_new_tokens=128,
    note="The paper does not say whether it prints accuracy or F1, which differ by about a point; both are given.",
)

POPE = Benchmark(
    name="pope",
    column="POPE",
    table=Table(
        hub="lmms-lab/POPE",
        split="test",
        num_rows=9_000,
        size="250 MB",
        columns=("question_id", "question", "answer", "category"),
    ),
    identify=lambda item, number: f"{item['category']}/{item['question_id']}",
    reference=lambda item: str(item["answer"]),
    category=lambda item: str(item["category"]),
    protocols={
        "paper": PAPER,
        "lmms-eval": replace(PAPER, judge=judge_whole),
        "vlmevalkit": PAPER,
    },
    source="AoiDragon/POPE; Cambrian-1 eval/pope, 539ffc3",
)
