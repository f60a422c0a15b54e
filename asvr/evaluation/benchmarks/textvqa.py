"""TextVQA: what does the writing in the photograph say? Each answer counts by how many of ten people gave it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import ACCURACY, Benchmark, Item, Judgement, Protocol, Table, percent
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_question, reference_texts
from asvr.evaluation.vqa_text import normalise_evalai, normalise_vlmevalkit

VQA_ACCURACY = "VQA accuracy"
FULL = 3
"""As many other people must agree with an answer for its full score."""


def prompt(item: Item) -> str:
    """Puts the data set's OCR tokens and Table 5's sentence below the question, as Cambrian-1 and LLaVA-1.5 do."""
    tokens = item["ocr_tokens"]
    seen = f" {', '.join(tokens)}" if tokens else ""
    return f"{IMAGE_MARKER}\n{item['question']}\nReference OCR tokens:{seen}\n{WORD_OR_PHRASE}"


def prompt_capitalised(item: Item) -> str:
    """As lmms-eval does: no OCR tokens, and only the first letter of the question is a capital."""
    return ask({"question": item["question"].capitalize()}, suffix=WORD_OR_PHRASE)


def judge(item: Item, answer: str, *, normalise: Callable[[str], str] = normalise_evalai) -> Judgement:
    """Scores the share of people that agree with an answer: the VQA challenge's soft accuracy.

    Each of the ten people is left out in turn, the others who gave this answer are counted, three are enough, and the
    ten results are averaged: 1, 2, 3 and 4 equal answers are worth 0.3, 0.6, 0.9 and 1.
    """
    said, answers = normalise(answer), Counter(reference_texts(item, "answers"))
    agreeing = sum(count for text, count in answers.items() if normalise(text) == said)
    without_one = agreeing * min(agreeing - 1, FULL) + (answers.total() - agreeing) * min(agreeing, FULL)
    return Judgement(without_one / FULL / answers.total(), said)


def check(item: Item) -> None:
    """Refuses a row that cannot be asked or fully scored.

    Raises:
        ValueError: If the question is missing, or there are too few answers for a full score.
    """
    check_question(item)
    answers = reference_texts(item, "answers")
    if len(answers) <= FULL:
        raise ValueError(
            f"`answers` holds {len(answers)}, but the full score takes {FULL + 1} equal ones. Give all ten people's."
        )
    tokens = item["ocr_tokens"]
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"`ocr_tokens` is {tokens!r}, but must be a list of texts. Give [] if there are none.")


def reference(item: Item) -> str:
    """Gives the different answers, those of most people first."""
    return " / ".join(text for text, _ in Counter(reference_texts(item, "answers")).most_common())


PAPER = Protocol(
    prompt=prompt,
    judge=judge,
    headline=VQA_ACCURACY,
    metrics={VQA_ACCURACY: percent(ACCURACY)},
    note=(
        "The prompt shows the data set's OCR tokens, as Cambrian-1 and LLaVA-1.5 do. The paper does not say so, but "
        "its values fit. Without them (presets lmms-eval and vlmevalkit) a model must read by itself and scores lower."
    ),
)
LMMS_EVAL = replace(
    PAPER,
    prompt=prompt_capitalised,
    max_new_tokens=1024,
    note="Without OCR tokens. The task sets no length: that of lmms-eval's llava_hf.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=partial(judge, normalise=normalise_vlmevalkit),
    note="Without OCR tokens. VLMEvalKit leaves the length to each model: that of its LLaVA.",
)

TEXTVQA = Benchmark(
    name="textvqa",
    column="TVQA",
    table=Table(
        hub="lmms-lab/textvqa",
        split="validation",
        num_rows=5_000,
        size="920 MB",
        columns=("question_id", "question", "answers", "ocr_tokens"),
        nested=("answers", "ocr_tokens"),
    ),
    identify=lambda item, number: str(item["question_id"]),
    reference=reference,
    check=check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source=(
        "Singh et al. 2019 (arXiv 1904.08920); Cambrian-1 eval/textvqa, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0"
    ),
)
