"""MMVP: pairs of pictures that CLIP hardly tells apart, with the same question and opposite answers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import ACCURACY, Benchmark, Item, Judged, Judgement, Mark, Protocol, Table, percent
from asvr.evaluation.benchmarks.letters import (
    SUFFIX,
    Options,
    check_options,
    compare,
    number,
    only_letter,
    show,
    unwrap,
    vlmevalkit_prompt,
)

PAIRS = "pair accuracy"
CORRECTED = {99: "B", 100: "A", 279: "B", 280: "A"}
"""The answers of two pairs that lmms-eval takes the other way round (tsb0601/MMVP issue 30)."""

_PLACES = (
    r"^\(?([ab])\)?\.?\s*$",
    r"^\(?([ab])\)?[.\s]",
    r"answer\s+is\s+\(?([ab])",
    r"option\s+\(?([ab])",
    r"([ab])\)?(?:\s|$)",
    r"^([ab])",
)
"""Where lmms-eval looks for the letter, in this order: alone; in front; after "answer is"; after "option"; at the end
of a word; as the first character (`lmms_eval/tasks/mmvp/utils.py`)."""


def index(item: Item) -> int:
    """Gives a row's number, from 1 on; the hub's file spells the column with a small L."""
    return int(item["Index" if "Index" in item else "lndex"])


def options(item: Item) -> Options:
    """Takes "(a) Open (b) Closed" apart; empty if the text is otherwise."""
    parts = re.fullmatch(r"\s*\(a\)(.*)\(b\)(.*)", item["Options"], re.DOTALL)
    return number([part.strip() for part in parts.groups()]) if parts else {}


def right_letter(item: Item) -> str:
    """Gives the letter of the right option, A or B."""
    return item["Correct Answer"].strip().strip("()").upper()


def check(item: Item) -> None:
    """Refuses a row that cannot be asked or scored.

    Raises:
        ValueError: If it has no number, or its options or answer cannot be used.
    """
    if "Index" not in item and "lndex" not in item:
        raise ValueError(f"has neither Index nor lndex. Its columns are {', '.join(item)}. Rename them.")
    if not options(item):
        raise ValueError(f"`Options` is {item['Options']!r}, but must be as '(a) Open (b) Closed'. Mend the row.")
    check_options(options(item), right_letter(item))


def prompt(item: Item) -> str:
    """Puts question, options and Table 5's sentence below each other."""
    return f"{IMAGE_MARKER}\n{item['Question']} Options:\n{show(options(item))}\n{SUFFIX}"


def lmms_eval_prompt(item: Item) -> str:
    """Asks without the word "Options:"."""
    return f"{IMAGE_MARKER}\n{item['Question']}\n{show(options(item))}\n{SUFFIX}"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the answer out of its brackets and marks; it must be the right letter or the right option's text."""
    said, letter = unwrap(answer), right_letter(item)
    return Judgement(float(said in (letter.lower(), options(item)[letter].lower())), said)


def judge_anywhere(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: the letter in the first of several places; four references are corrected."""
    found = (re.search(place, answer.strip().lower()) for place in _PLACES)
    said = next((match[1] for match in found if match), "")
    return compare(said, CORRECTED.get(index(item), right_letter(item)))


def judge_only(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model."""
    return compare(only_letter(answer, options(item)), right_letter(item))


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each pair, the rows 2k-1 and 2k, and each row alone; a pair of which one row is missing is wrong."""
    pairs: dict[int, list[Judged]] = defaultdict(list)
    for each in judged:
        pairs[(index(each.item) + 1) // 2].append(each)
    for pair, rows in pairs.items():
        scores = [each.judgement.score for each in rows]
        yield Mark(PAIRS, str(pair), float(sum(scores) == 2))
        for score in scores:
            yield Mark(ACCURACY, str(pair), score)


PAPER = Protocol(
    prompt=prompt,
    judge=judge,
    mark=mark,
    headline=PAIRS,
    metrics={PAIRS: percent(PAIRS), ACCURACY: percent(ACCURACY)},
    note="A pair of which only one row was asked counts as wrong. MMVP's authors grade with GPT-4.",
)
LMMS_EVAL = replace(
    PAPER,
    prompt=lmms_eval_prompt,
    judge=judge_anywhere,
    max_new_tokens=16,
    note="The references of rows 99, 100, 279 and 280 are swapped, a correction of 2026. A pair of which only one row "
    "was asked counts as wrong; lmms-eval leaves it out.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=lambda item: vlmevalkit_prompt(item["Question"], options(item)),
    judge=judge_only,
    headline=ACCURACY,
    note="VLMEvalKit's number is the accuracy over single rows. An answer from which nothing can be read is wrong; "
    "VLMEvalKit may ask GPT.",
)

MMVP = Benchmark(
    name="mmvp",
    column="MMVP",
    table=Table(
        hub="MMVP/MMVP",
        split="train",
        num_rows=300,
        size="about 20 MB",
        columns=("Question", "Options", "Correct Answer"),
        images=(),
        files=lambda item: (f"MMVP Images/{index(item)}.jpg",),
    ),
    identify=lambda item, number: str(index(item)),
    reference=lambda item: f"{right_letter(item)}. {options(item)[right_letter(item)]}",
    check=check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="Tong et al. 2024 (arXiv 2401.06209); Cambrian-1 eval/mmvp, 539ffc3; lmms-eval 75571cf; VLMEvalKit",
)
