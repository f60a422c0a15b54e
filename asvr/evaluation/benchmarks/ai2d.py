"""AI2D: questions about the labels and arrows of school-book diagrams, four options each."""

import re
from dataclasses import replace
from string import ascii_uppercase, punctuation

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Benchmark, Item, Judgement, Protocol, Table
from asvr.evaluation.benchmarks.letters import (
    SUFFIX,
    Options,
    check_options,
    compare,
    first_letter,
    number,
    only_letter,
    show,
    vlmevalkit_prompt,
)


def options(item: Item) -> Options:
    """Gives the options."""
    return number([str(text) for text in item["options"]])


def right_letter(item: Item) -> str:
    """Gives the letter of the right option, which the table numbers from 0; empty if there is no such option."""
    place = str(item["answer"])
    return ascii_uppercase[int(place)] if place.isdecimal() and int(place) < len(item["options"]) else ""


def check(item: Item) -> None:
    """Refuses a row that cannot be asked or scored.

    Raises:
        ValueError: If `options` is no list, or they or the answer cannot be used.
    """
    if not isinstance(item["options"], list):
        raise ValueError(f"`options` is {item['options']!r}, but must be a list of texts. Mend the row.")
    check_options(options(item), right_letter(item))


def prompt(item: Item) -> str:
    """Puts question, options and Table 5's sentence below each other."""
    return f"{IMAGE_MARKER}\n{item['question']}\n{show(options(item))}\n{SUFFIX}"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first letter; the number of the right option, from 0, is also right."""
    said = first_letter(answer)
    return Judgement(float(said in (right_letter(item).lower(), str(item["answer"]))), said)


def judge_bare(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: a capital before a full stop at the beginning, or nothing but the letter, marks aside."""
    text = answer.strip()
    leading = re.match(r"([A-Z])\.", text)
    said = leading[1] if leading else text.translate(str.maketrans("", "", punctuation))
    return compare(said.lower(), right_letter(item))


def judge_only(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model."""
    return compare(only_letter(answer, options(item)), right_letter(item))


PAPER = Protocol(prompt=prompt, judge=judge)

AI2D = Benchmark(
    name="ai2d",
    column="AI2D",
    table=Table(
        hub="lmms-lab/ai2d",
        split="test",
        num_rows=3_088,
        size="about 0.5 GB",
        columns=("question", "options", "answer"),
        nested=("options",),
    ),
    # The table has no names for its rows.
    identify=lambda item, number: str(number),
    reference=lambda item: f"{right_letter(item)}. {options(item)[right_letter(item)]}",
    check=check,
    protocols={
        "paper": PAPER,
        "lmms-eval": replace(PAPER, judge=judge_bare, max_new_tokens=16),
        "vlmevalkit": replace(
            PAPER,
            prompt=lambda item: vlmevalkit_prompt(str(item["question"]), options(item)),
            judge=judge_only,
            note="An answer from which nothing can be read is wrong; VLMEvalKit may ask GPT.",
        ),
    },
    source=(
        "Kembhavi et al. 2016 (arXiv 1603.07396); Cambrian-1 eval/ai2d, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0"
    ),
)
