"""GQA: questions made from scene graphs about objects, attributes and relations; the answer is one word or two."""

import string
from dataclasses import replace
from functools import partial

from asvr.evaluation.benchmark import Benchmark, Item, Judgement, Pictures, Protocol, Table
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_answer, reference_text

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def judge(item: Item, answer: str) -> Judgement:
    """As Cambrian-1 and LLaVA do: the answer is the reference, case and periods at its end aside."""
    return _equal(answer.strip().lower().rstrip("."), reference_text(item, "answer").lower())


def judge_letters(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: no ASCII punctuation counts anywhere, so that "tshirt" is "t-shirt"."""
    said, right = (text.lower().translate(_PUNCTUATION) for text in (answer.strip(), reference_text(item, "answer")))
    return _equal(said, right)


def judge_exactly(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does: the answer is the reference, case aside; "yes." is wrong."""
    return _equal(answer.strip().lower(), reference_text(item, "answer").strip().lower())


def category(item: Item) -> str:
    """Gives the kind of question by its structure: verify, query, choose, logical or compare."""
    return str((item.get("types") or {}).get("structural") or "")


def _equal(said: str, right: str) -> Judgement:
    return Judgement(float(said == right), said)


PAPER = Protocol(prompt=partial(ask, suffix=WORD_OR_PHRASE), judge=judge, max_new_tokens=128)
LMMS_EVAL = replace(PAPER, judge=judge_letters, max_new_tokens=16, note="Punctuation does not count.")
VLMEVALKIT = replace(PAPER, judge=judge_exactly, max_new_tokens=512, note="An answer that ends with a period is wrong.")

GQA = Benchmark(
    name="gqa",
    column="GQA",
    table=Table(
        hub="lmms-lab/GQA",
        config="testdev_balanced_instructions",
        split="testdev",
        num_rows=12_578,
        size="68 MB",
        columns=("id", "imageId", "question", "answer"),
        nested=("types",),
        images=(),
        pictures=Pictures(config="testdev_balanced_images", split="testdev", key="id", by="imageId"),
    ),
    identify=lambda item, number: str(item["id"]),
    reference=lambda item: reference_text(item, "answer"),
    category=category,
    check=check_answer,
    protocols={
        "paper": PAPER,
        "lmms-eval": LMMS_EVAL,
        "vlmevalkit": VLMEVALKIT,
    },
    source=(
        "Hudson and Manning 2019 (arXiv 1902.09506); Cambrian-1 eval/gqa, 539ffc3; lmms-eval 75571cf; "
        "VLMEvalKit e8e78f0"
    ),
)
