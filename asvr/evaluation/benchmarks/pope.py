"""POPE: is an object in the picture? Half of the 9,000 questions ask for one that is not."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

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
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_question
from asvr.evaluation.benchmarks.yes_no import check_one_of, compare, judge_word

PRECISION, RECALL, F1 = "precision", "recall", "F1"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first word, without what ends it; it must be the reference itself. An empty answer is wrong."""
    words = answer.lower().split()
    return compare(words[0].rstrip(".:,") if words else "", item["answer"].lower())


def judge_whole(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: the whole answer must be the reference, case aside."""
    return compare(answer.lower().strip(), item["answer"].lower())


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each question in accuracy, and the "yes" among answers and references as `mark_yes` does."""
    yield from mark_each(judged)
    yield from mark_yes(judged)


def mark_read(judged: Sequence[Judged]) -> Iterable[Mark]:
    """As lmms-eval does: an answer that is neither "yes" nor "no" is wrong, but no "yes" that recall and F1 miss."""
    yield from mark_each(judged)
    yield from mark_yes([each for each in judged if each.judgement.extracted])


def mark_yes(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks precision, recall and F1 of "yes", the last also by category, such as "random/F1".

    F1 is a ratio of sums: twice the "yes" that are right, over these and the ones that are wrong or missing.
    """
    for each in judged:
        group, is_yes = picture_group(each), each.item["answer"].lower() == "yes"
        says_yes = each.judgement.extracted == "yes"
        right = float(is_yes and says_yes)
        if says_yes:
            yield Mark(PRECISION, group, right)
        if is_yes:
            yield Mark(RECALL, group, right)
        if is_yes or says_yes:
            yield Mark(F1, group, 2 * right, 1 + right)
            yield Mark(f"{each.category}/{F1}", group, 2 * right, 1 + right)


def _check(item: Item) -> None:
    check_question(item)
    check_one_of(item, "answer", ("yes", "no"))


PAPER = Protocol(
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=judge,
    mark=mark,
    metrics={name: percent(name) for name in (ACCURACY, F1, PRECISION, RECALL)},
    max_new_tokens=128,
    note="The paper does not say whether it prints accuracy or F1, which differ by about a point; both are given.",
)
LMMS_EVAL = replace(
    PAPER,
    judge=judge_whole,
    mark=mark_read,
    note="Answers that are neither 'yes' nor 'no' are wrong, but recall and F1 are those of the others alone.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=ask,
    judge=judge_word,
    headline=F1,
    max_new_tokens=512,
    note=(
        "VLMEvalKit's overall number is F1. Its own table words the questions; here the hub's are put as they are. An "
        "answer without exactly one of the words 'yes' and 'no' is wrong; VLMEvalKit may ask GPT."
    ),
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
    check=_check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="Li et al. 2023 (arXiv 2305.10355), AoiDragon/POPE; Cambrian-1 eval/pope, 539ffc3",
)
