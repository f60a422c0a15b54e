"""OCRBench: ten kinds of reading, from single words to receipts and formulas; an answer must contain the text."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Benchmark, Item, Judgement, Protocol, Table
from asvr.evaluation.benchmarks.short_answer import ask, check_question, reference_texts

FORMULAS = "Handwritten Mathematical Expression Recognition"
"""The kind of question in which case matters and spaces do not: its references are LaTeX."""

FULL_WIDTH = {ord("\u3000"): " "} | {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""The ASCII character of each full-width one, for `str.translate`."""


def prompt_bare(item: Item) -> str:
    """As lmms-eval does: the question alone, without white space at its ends."""
    return f"{IMAGE_MARKER}\n{item['question'].strip()}"


def judge(item: Item, answer: str) -> Judgement:
    """Looks for a reference anywhere in the answer; formulas are compared without spaces, other texts without case."""
    return _contains(item, answer, _formula if item["question_type"] == FORMULAS else _text)


def judge_wide(item: Item, answer: str) -> Judgement:
    """As lmms-eval does since July 2026: full-width characters equal their ASCII ones, but not in formulas."""
    return _contains(item, answer, _formula if item["question_type"] == FORMULAS else _narrow_text)


def check(item: Item) -> None:
    """Refuses a row without a question or with an empty reference, which every answer contains.

    Raises:
        ValueError: Saying what is missing.
    """
    check_question(item)
    if not all(text.strip() for text in _references(item)):
        raise ValueError(f"`answer` is {item['answer']!r}, but an empty text is in every answer. Leave it out.")


def _references(item: Item) -> list[str]:
    return reference_texts(item, "answer")


def _contains(item: Item, answer: str, form: Callable[[str], str]) -> Judgement:
    said = form(answer)
    return Judgement(float(any(form(reference) in said for reference in _references(item))), said)


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _narrow_text(text: str) -> str:
    return _text(text.translate(FULL_WIDTH))


PAPER = Protocol(
    prompt=partial(ask, suffix="Give the short answer directly."),
    judge=judge,
    note="A tenth of the OCRBench score, which is the number of right answers out of 1,000.",
)
LMMS_EVAL = replace(
    PAPER,
    prompt=prompt_bare,
    judge=judge_wide,
    max_new_tokens=128,
    note=f"{PAPER.note} Before April 2026 lmms-eval lower-cased the answers, not the references, of formulas.",
)
VLMEVALKIT = replace(PAPER, prompt=ask)

OCRBENCH = Benchmark(
    name="ocrbench",
    column="OCRB",
    table=Table(
        hub="echo840/OCRBench",
        split="test",
        num_rows=1_000,
        size="68 MB",
        columns=("question", "question_type", "answer"),
        nested=("answer",),
    ),
    identify=lambda item, number: str(number),
    reference=lambda item: " / ".join(_references(item)),
    category=lambda item: str(item["question_type"]),
    check=check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source=(
        "Liu et al. 2024 (arXiv 2305.07895), Yuliang-Liu/MultimodalOCR; Cambrian-1 eval/ocrbench, 539ffc3; "
        "lmms-eval 75571cf; VLMEvalKit e8e78f0"
    ),
)
