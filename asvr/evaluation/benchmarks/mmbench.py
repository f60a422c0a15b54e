"""MMBench-EN dev: twenty abilities; a question is right only if it is in every rotation of its options."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Benchmark, Item, Judged, Judgement, Mark, Protocol, Table, percent
from asvr.evaluation.benchmarks.letters import (
    SUFFIX,
    Options,
    check_options,
    compare,
    first_letter,
    likeliest_letter,
    only_letter,
    show,
    vlmevalkit_prompt,
)

CIRCULAR, VANILLA = "circular accuracy", "vanilla accuracy"
ROTATION = 1_000_000
"""By how much the indices of a question's rotations differ."""

_LETTER_SHAPES = ("{}.", "{},", "{}:", "{})", "{}).", "({})", "({}).", ":{}", ":{},", ":{}.", ":{})", ":{}).")


def options(item: Item) -> Options:
    """Gives the options that are there; a missing one is the word "nan" in the hub's copy."""
    return {letter: str(item[letter]) for letter in "ABCD" if _is_there(item[letter])}


def _is_there(value: object) -> bool:
    return value is not None and str(value) not in ("", "nan")


def prompt(item: Item) -> str:
    """Puts hint, question, options and Table 5's sentence below each other."""
    hint = f"{item['hint']}\n" if _is_there(item["hint"]) else ""
    return f"{IMAGE_MARKER}\n{hint}{item['question']} Options:\n{show(options(item))}\n{SUFFIX}"


def lmms_eval_prompt(item: Item) -> str:
    """Puts hint and question into one line, and an empty one above Table 5's sentence."""
    hint = f"{item['hint']} " if _is_there(item["hint"]) else ""
    lines = f"{hint}{item['question']} There are several options:\n{show(options(item))}"
    return f"{IMAGE_MARKER}\n{lines}\n\n{SUFFIX}"


def ask_with_hint(item: Item) -> str:
    """Asks as VLMEvalKit does."""
    hint = str(item["hint"]) if _is_there(item["hint"]) else ""
    return vlmevalkit_prompt(str(item["question"]), options(item), hint=hint)


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first letter."""
    return compare(first_letter(answer), item["answer"])


def judge_static(item: Item, answer: str) -> Judgement:
    """As lmms-eval does without a judge model: a letter by itself, an option's text, or the likeliest letter."""
    found = options(item)
    texts = [letter for letter, text in found.items() if text.lower() in answer.lower()]
    said = _lone_letter(answer.split()) or (texts[0].lower() if len(texts) == 1 else "")
    return compare(said or likeliest_letter(answer, "".join(found)), item["answer"])


def _lone_letter(words: Sequence[str]) -> str:
    """Reads the one letter among the words; an "A" among more than three may be an article, and is none."""
    for shape in ("{}", *_LETTER_SHAPES):
        letters = [letter for letter in "ABCDE" if shape.format(letter) in words]
        is_article = shape == "{}" and "A" in words and len(words) > 3
        if len(letters) == 1 and not is_article:
            return letters[0].lower()
    return ""


def judge_only(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model."""
    return compare(only_letter(answer, options(item)), item["answer"])


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each base question, in all and in its category, and each rotation alone."""
    questions: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        questions[str(int(each.item["index"]) % ROTATION)].append(each)
    for base, rotations in questions.items():
        scores = [each.judgement.score for each in rotations]
        yield Mark(CIRCULAR, base, float(all(scores)))
        yield Mark(rotations[0].category, base, float(all(scores)))
        for score in scores:
            yield Mark(VANILLA, base, score)


LIMITED = (
    "A question counts as right if all of its rotations that were asked are right. A limit cuts rotations off, which "
    "makes the benchmark easier."
)

PAPER = Protocol(
    prompt=prompt,
    judge=judge,
    mark=mark,
    headline=CIRCULAR,
    metrics={CIRCULAR: percent(CIRCULAR), VANILLA: percent(VANILLA)},
    note=LIMITED,
)
LMMS_EVAL = replace(
    PAPER,
    prompt=lmms_eval_prompt,
    judge=judge_static,
    max_new_tokens=1024,
    note=f"{LIMITED} This is lmms-eval's mmbench_en_dev_static; mmbench_en_dev asks GPT where nothing can be read. It "
    "takes the later release lmms-lab/MMBench, of 4,329 rows.",
)
VLMEVALKIT = replace(
    PAPER,
    prompt=ask_with_hint,
    judge=judge_only,
    note=f"{LIMITED} An answer from which nothing can be read is wrong; VLMEvalKit may ask GPT.",
)

MMBENCH = Benchmark(
    name="mmbench",
    column="MMB",
    table=Table(
        hub="lmms-lab/MMBench_EN",
        split="dev",
        num_rows=4_377,
        size="about 0.2 GB",
        columns=("index", "question", "hint", "A", "B", "C", "D", "answer", "category"),
    ),
    identify=lambda item, number: str(item["index"]),
    reference=lambda item: f"{item['answer']}. {item[item['answer']]}",
    category=lambda item: str(item["category"]),
    check=lambda item: check_options(options(item), str(item["answer"])),
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source=(
        "Liu et al. 2023 (arXiv 2307.06281); Cambrian-1 eval/mmbench_en, 539ffc3; lmms-eval 75571cf; VLMEvalKit e8e78f0"
    ),
)
