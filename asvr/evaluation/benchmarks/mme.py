"""MME: two questions about each picture, one to be answered "yes" and one "no", in fourteen categories."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from asvr.evaluation.benchmark import (
    ACCURACY,
    Benchmark,
    Item,
    Judged,
    Judgement,
    Mark,
    Protocol,
    Ratios,
    Table,
    percent,
)
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_question
from asvr.evaluation.benchmarks.yes_no import check_one_of, compare, judge_word

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
ALL = PERCEPTION + COGNITION
OWN_SENTENCE = " Please answer yes or no."
"""How every question of the data set ends."""


def lmms_eval_prompt(item: Item) -> str:
    """Puts Table 5's sentence in place of the data set's own."""
    return ask({"question": item["question"].strip().replace(OWN_SENTENCE, "")}, suffix=WORD_OR_PHRASE)


def judge(item: Item, answer: str) -> Judgement:
    """Takes full stops off the end; what is left must be the reference itself."""
    return compare(answer.strip().lower().rstrip("."), item["answer"].lower())


def judge_beginning(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: a "yes" within the first four characters, else a "no" there; also "y" and "n" alone."""
    text = answer.lower().strip().replace(".", "")
    said = {"y": "yes", "n": "no"}.get(text) or next((word for word in ("yes", "no") if word in text[:4]), "")
    return compare(said, item["answer"].lower())


def both(category: str) -> str:
    """Names the ratio of a category's pictures whose questions are both right: MME's acc+."""
    return f"{category}+"


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each question, in all and in its category, and each picture in its category's `both`.

    A picture of which a limit has cut one question counts by the other.
    """
    pictures: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        pictures[f"{each.category}/{each.item['question_id']}"].append(each)
    for picture, questions in pictures.items():
        scores = [each.judgement.score for each in questions]
        for score in scores:
            yield Mark(ACCURACY, picture, score)
            yield Mark(questions[0].category, picture, score)
        yield Mark(both(questions[0].category), picture, float(all(scores)))


def points(categories: Sequence[str], *, highest: int) -> Callable[[Ratios], Float[np.ndarray, "..."]]:
    """Gives the metric that adds up acc and acc+ of categories, scaled to end at `highest`; NaN if one is missing."""
    names = [name for category in categories for name in (category, both(category))]
    return lambda ratios: highest * np.mean([ratios[name] for name in names], axis=0)


def _check(item: Item) -> None:
    check_question(item)
    check_one_of(item, "answer", ("Yes", "No"))
    check_one_of(item, "category", ALL)


HEADLINE, PERCEPTION_HEADLINE = "total/28", "perception/20"
"""The two readings of the paper's column."""

PAPER = Protocol(
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=judge,
    mark=mark,
    headline=HEADLINE,
    metrics={
        HEADLINE: points(ALL, highest=100),
        PERCEPTION_HEADLINE: points(PERCEPTION, highest=100),
        "perception": points(PERCEPTION, highest=2000),
        "cognition": points(COGNITION, highest=800),
        "total": points(ALL, highest=2800),
        ACCURACY: percent(ACCURACY),
    },
    max_new_tokens=32,
    note=(
        "The paper prints MME from 0 to 100 and does not say how. total/28 is the headline, since its text says 'MME "
        "sum'; perception/20 is the other reading, which its numbers favour. perception, cognition and total are "
        "points of 2,000, 800 and 2,800. A ratio with '+' is acc+: pictures with both questions right."
    ),
)
LMMS_EVAL = replace(
    PAPER,
    prompt=lmms_eval_prompt,
    judge=judge_beginning,
    max_new_tokens=16,
    note=PAPER.note + " The data set's own sentence is not put; an answer is read from its first four characters.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=ask,
    judge=judge_word,
    max_new_tokens=512,
    note=PAPER.note + " An answer without exactly one of the words 'yes' and 'no' is wrong; VLMEvalKit may ask GPT.",
)

MME = Benchmark(
    name="mme",
    column="MME",
    table=Table(
        hub="lmms-lab/MME",
        split="test",
        num_rows=2_374,
        size="about 0.9 GB",
        columns=("question_id", "question", "answer", "category"),
    ),
    # The two rows of a picture share their question_id.
    identify=lambda item, number: f"{item['question_id']}#{number}",
    reference=lambda item: str(item["answer"]),
    category=lambda item: str(item["category"]),
    check=_check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="Fu et al. 2023 (arXiv 2306.13394); Cambrian-1 eval/mme, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0",
)
