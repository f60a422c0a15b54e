"""ChartQA: questions about charts; a number may be off by a twentieth. Half were written by people, half by a model."""

import ast
from dataclasses import replace
from functools import partial

from asvr.evaluation.benchmark import ACCURACY, Benchmark, Item, Judgement, Protocol, Table, percent
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_answer, reference_text
from asvr.evaluation.reading import as_number

RELAXED_ACCURACY = "relaxed accuracy"
TOLERANCE = 0.05
"""How far a number may be from the reference, as a part of the reference (Masry et al. 2022, section 5.1)."""


def judge(item: Item, answer: str) -> Judgement:
    """As Cambrian-1 does: numbers may be off by `TOLERANCE`; "45%" is no number, and equals only itself."""
    said, right = answer.strip().lower(), reference_text(item, "answer").lower()
    number, wanted = as_number(said), as_number(right)
    if number is None or wanted is None:
        return Judgement(float(said == right), said)
    return Judgement(float(abs(number - wanted) <= TOLERANCE * abs(wanted)), said)


def judge_percent(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: "45%" is 0.45, and next to a reference of zero numbers are compared as texts."""
    said = answer.strip()
    return Judgement(float(_near(said, reference_text(item, "answer"))), said.lower())


def judge_any(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does: like lmms-eval, but any entry of a reference such as "[2012, 2013]" is right by itself."""
    said = answer.strip()
    return Judgement(float(any(_near(said, right) for right in _entries(reference_text(item, "answer")))), said.lower())


def _near(said: str, right: str) -> bool:
    number, wanted = _part(said), _part(right)
    if number is None or not wanted:
        return said.lower() == right.lower()
    return abs(number - wanted) / abs(wanted) <= TOLERANCE


def _part(text: str) -> float | None:
    """Gives the number a text is, a percentage as a part of one."""
    if not text.endswith("%"):
        return as_number(text)
    hundredths = as_number(text.rstrip("%"))
    return None if hundredths is None else hundredths / 100


def _entries(text: str) -> list[str]:
    """Gives the entries of a text that is a Python list, and any other text as it is."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [text]
    return [str(entry) for entry in value] if isinstance(value, list) else [text]


PAPER = Protocol(
    prompt=partial(ask, suffix="Answer the question using a single number or phrase."),
    judge=judge,
    headline=RELAXED_ACCURACY,
    metrics={RELAXED_ACCURACY: percent(ACCURACY)},
    max_new_tokens=128,
    note="All questions together; with both halves complete that is also the mean of the two. Years are numbers too.",
)
LMMS_EVAL = replace(
    PAPER,
    prompt=partial(ask, suffix="Answer the question with a single word."),
    judge=judge_percent,
    max_new_tokens=16,
    note=f"{PAPER.note} A percentage is a part of one: '45%' is 0.45.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=judge_any,
    max_new_tokens=512,
    note=f"{LMMS_EVAL.note} Where a reference is a list, each of its entries is right by itself.",
)

CHARTQA = Benchmark(
    name="chartqa",
    column="CQA",
    table=Table(
        hub="lmms-lab/ChartQA",
        split="test",
        num_rows=2_500,
        size="73 MB",
        columns=("question", "answer", "type"),
    ),
    identify=lambda item, number: str(number),
    reference=lambda item: reference_text(item, "answer"),
    category=lambda item: str(item["type"]),
    check=check_answer,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source=(
        "Masry et al. 2022 (arXiv 2203.10244); Cambrian-1 eval/chartqa, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0"
    ),
)
