"""MMMU: college exercises of thirty subjects, most with 2 to 9 options, some open; only the first picture is shown."""

import ast
import re
from dataclasses import replace

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
from asvr.evaluation.benchmarks.mmmu_official import answers_match, read_letter
from asvr.evaluation.reading import after_marker, as_number

OPEN_SUFFIX = "Answer the question using a single word or phrase."
TOLERANCE = 0.05
"""Relative to what the model said, not to the reference: a quirk of Cambrian-1."""

_TAG = re.compile(r"<image \d+>")


def is_open(item: Item) -> bool:
    """Says whether a question has no options."""
    return item["question_type"] == "open"


def options(item: Item) -> Options:
    """Gives the options, from a list that the table holds as Python text.

    Raises:
        ValueError: If it is no such list.
    """
    return number(_read_list(item, "options"))


def _read_list(item: Item, column: str) -> list[str]:
    rule = f"`{column}` is {item[column]!r}, but must be a Python list of texts, such as \"['6', '7']\". Mend the row."
    try:
        texts = ast.literal_eval(item[column])
    except (ValueError, SyntaxError) as error:
        raise ValueError(rule) from error
    if not isinstance(texts, list):
        raise ValueError(rule)
    return [str(text) for text in texts]


def references(item: Item) -> list[str]:
    """Gives the right answers of an open question, of which some rows have a list.

    Raises:
        ValueError: If what looks like a list cannot be read.
    """
    answer = item["answer"]
    return _read_list(item, "answer") if answer.startswith("[") and answer.endswith("]") else [answer]


def prompt(item: Item) -> str:
    """Puts question, options and Table 5's sentence below each other, and takes the tags of pictures out.

    Cambrian-1 finds the options between single quotes, which mangles those with an apostrophe; here they are whole.
    """
    asked = f" Options:\n{show(options(item))}\n{SUFFIX}" if not is_open(item) else f"\n{OPEN_SUFFIX}"
    return _TAG.sub("", f"{IMAGE_MARKER}\n{item['question']}{asked}").strip()


def lmms_eval_prompt(item: Item) -> str:
    """Leaves the tags in the text, and puts an empty line above the last sentence."""
    asked = f"{show(options(item))}\n\n{SUFFIX}" if not is_open(item) else f"\n{OPEN_SUFFIX}"
    return f"{IMAGE_MARKER}\n{item['question']}\n{asked}"


def ask_plainly(item: Item) -> str:
    """Asks as VLMEvalKit does; it shows pictures in the place of their tags."""
    given = {} if is_open(item) else options(item)
    return _TAG.sub("", vlmevalkit_prompt(item["question"], given)).strip()


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first letter, or the tail of an open answer; equal texts are right, and so are near numbers."""
    said = after_marker(answer).rstrip(".") if is_open(item) else first_letter(answer)
    ours, theirs = as_number(said), as_number(item["answer"])
    near = ours is not None and theirs is not None and abs(theirs - ours) <= TOLERANCE * abs(ours)
    return Judgement(float(near or said == item["answer"].lower()), said)


def judge_official(item: Item, answer: str) -> Judgement:
    """As lmms-eval does, after MMMU's own code."""
    if is_open(item):
        right = answers_match(answer, references(item))
        return Judgement(float(right), answer.strip().lower())
    return compare(read_letter(answer, options(item)), item["answer"])


def judge_only(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model: an open question has the options "the reference" and "other"."""
    if is_open(item):
        return compare(only_letter(answer, {"A": item["answer"], "B": "Other Answers"}), "A")
    return compare(only_letter(answer, options(item)), item["answer"])


def check(item: Item) -> None:
    """Refuses a row that cannot be asked or scored.

    Raises:
        ValueError: If it is neither multiple choice nor open, its options cannot be read or are too few, or there is no
            right answer.
    """
    if item["question_type"] not in ("multiple-choice", "open"):
        raise ValueError(
            f"`question_type` is {item['question_type']!r}, but must be 'multiple-choice' or 'open'. Mend the row."
        )
    if not is_open(item):
        check_options(options(item), str(item["answer"]))
    elif not item["answer"].strip():
        raise ValueError("an open question needs an answer, but its answer is empty. Mend the row.")
    else:
        references(item)


def reference(item: Item) -> str:
    """Gives the right option with its letter, or the right answer."""
    return item["answer"] if is_open(item) else f"{item['answer']}. {options(item)[item['answer']]}"


ONE_PICTURE = "Only a question's first picture is shown, as in the paper's evaluation code."

PAPER = Protocol(prompt=prompt, judge=judge, note=ONE_PICTURE)

MMMU = Benchmark(
    name="mmmu",
    column="MMMU",
    table=Table(
        hub="lmms-lab/MMMU",
        split="validation",
        num_rows=900,
        size="about 0.4 GB",
        columns=("id", "question", "options", "answer", "question_type"),
        images=("image_1",),
    ),
    identify=lambda item, number: str(item["id"]),
    reference=reference,
    category=lambda item: "_".join(item["id"].split("_")[1:-1]),
    check=check,
    protocols={
        "paper": PAPER,
        "lmms-eval": replace(
            PAPER,
            prompt=lmms_eval_prompt,
            judge=judge_official,
            max_new_tokens=128,
            note="Where MMMU's code guesses an option at random, the answer is wrong. Only a question's first picture "
            "is shown; lmms-eval shows all, in front.",
        ),
        "vlmevalkit": replace(
            PAPER,
            prompt=ask_plainly,
            judge=judge_only,
            note="An answer from which nothing can be read is wrong; VLMEvalKit may ask GPT, or guess. Only a "
            "question's first picture is shown; VLMEvalKit shows all.",
        ),
    },
    source="Yue et al. 2024 (arXiv 2311.16502); Cambrian-1 eval/mmmu, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0",
)
