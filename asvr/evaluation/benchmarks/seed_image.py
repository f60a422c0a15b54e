"""SEED-Bench, the questions about single pictures: nine kinds, four options each."""

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

KINDS = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attribute",
    "Instance Location",
    "Instance Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Recognition",
)
"""By `question_type_id`, from 1 on; those above 9 are about videos."""


def options(item: Item) -> Options:
    """Gives the four options."""
    return number([str(item[f"choice_{letter}"]) for letter in "abcd"])


def prompt(item: Item) -> str:
    """Puts question, options and Table 5's sentence below each other."""
    return f"{IMAGE_MARKER}\n{item['question']} Options:\n{show(options(item))}\n{SUFFIX}"


def lmms_eval_prompt(item: Item) -> str:
    """Asks without the word "Options:"."""
    return f"{IMAGE_MARKER}\n{item['question']}\n{show(options(item))}\n{SUFFIX}"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first letter; of the marks at the end only full stops are taken off."""
    return compare(first_letter(answer, ends="."), item["answer"])


def judge_first(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: the first character is the answer, so that "(B)" is wrong."""
    return compare(answer.strip()[:1].lower(), item["answer"])


def judge_only(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model."""
    return compare(only_letter(answer, options(item)), item["answer"])


def leave_out(item: Item) -> str:
    """Leaves questions about videos out, whose rows hold several frames."""
    return "" if item["data_type"] == "image" else "about a video"


def check(item: Item) -> None:
    """Refuses a row that cannot be asked or scored.

    Raises:
        ValueError: If its kind is not one of the nine, or its options or answer cannot be used.
    """
    if int(item["question_type_id"]) not in range(1, len(KINDS) + 1):
        raise ValueError(f"`question_type_id` is {item['question_type_id']!r}, but must be 1 to 9. Mend the row.")
    check_options(options(item), str(item["answer"]))


PAPER = Protocol(prompt=prompt, judge=judge)
LMMS_EVAL = replace(
    PAPER,
    prompt=lmms_eval_prompt,
    judge=judge_first,
    # Its task names no length; this is the default of its Hugging Face models.
    max_new_tokens=1024,
    note="This is lmms-eval's seed_image; its seed_all also asks about videos.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=lambda item: vlmevalkit_prompt(str(item["question"]), options(item)),
    judge=judge_only,
    note="An answer from which nothing can be read is wrong; VLMEvalKit may ask GPT. Its table has one row fewer.",
)

SEED_IMAGE = Benchmark(
    name="seed_image",
    column="SEED",
    table=Table(
        hub="lmms-lab/SEED-Bench",
        split="test",
        num_rows=17_990,
        size="about 27 GB, with the frames of its videos",
        columns=(
            *("question_id", "question", "choice_a", "choice_b", "choice_c", "choice_d"),
            *("answer", "question_type_id", "data_type"),
        ),
    ),
    identify=lambda item, number: str(item["question_id"]),
    reference=lambda item: f"{item['answer']}. {options(item)[item['answer']]}",
    category=lambda item: KINDS[int(item["question_type_id"]) - 1],
    leave_out=leave_out,
    check=check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="Li et al. 2023 (arXiv 2307.16125); Cambrian-1 eval/seed, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0",
)
