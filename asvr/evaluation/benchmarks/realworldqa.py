"""RealWorldQA: what a driver or a walker sees; options and instruction are part of the question."""

from dataclasses import replace

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Benchmark, Item, Judgement, Protocol, Table
from asvr.evaluation.benchmarks.letters import compare, likeliest_letter
from asvr.evaluation.reading import after_marker

LETTERS = "ABCD"


def prompt(item: Item) -> str:
    """Gives the question as it is, which ends with Table 5's sentence or asks for a single word or number."""
    return f"{IMAGE_MARKER}\n{item['question']}"


def judge(item: Item, answer: str) -> Judgement:
    """Reads the first word; it must be the reference itself, so that "(A)" and "A. Left" are wrong."""
    words = after_marker(answer).rstrip(".").split()
    return compare(words[0] if words else "", item["answer"])


def judge_likeliest(item: Item, answer: str) -> Judgement:
    """As lmms-eval does: the likeliest letter if the reference is one, else the whole answer."""
    is_letter = item["answer"].strip().upper() in tuple(LETTERS)
    said = likeliest_letter(answer, LETTERS) if is_letter else answer.lower().strip().rstrip(".")
    return compare(said, item["answer"].strip())


def reference(item: Item) -> str:
    """Gives the right option with its text as the question lists it, or the right answer itself."""
    lines = item["question"].splitlines()
    return next((line for line in lines if line.startswith(f"{item['answer']}. ")), str(item["answer"]))


def check(item: Item) -> None:
    """Refuses a row without a right answer, which an empty one would match.

    Raises:
        ValueError: Naming the answer.
    """
    if not item["answer"].strip():
        raise ValueError(f"`answer` is {item['answer']!r}, but must be a letter, a word or a number. Mend the row.")


PAPER = Protocol(
    prompt=prompt,
    judge=judge,
    note="Letters in brackets or before a full stop are wrong, as in the paper's evaluation code.",
)
LMMS_EVAL = replace(
    PAPER,
    prompt=lambda item: f"{IMAGE_MARKER}\n{item['question'].strip()}",
    judge=judge_likeliest,
    max_new_tokens=16,
    note="As since April 2026. Before, number words became digits and options' texts letters, and case did not count.",
)
VLMEVALKIT = replace(
    PAPER,
    note="VLMEvalKit has a table of its own, with the options in columns, which the hub's cannot stand in for: asked "
    "and scored as under 'paper'.",
)

REALWORLDQA = Benchmark(
    name="realworldqa",
    column="RQA",
    table=Table(
        hub="lmms-lab/RealWorldQA",
        split="test",
        num_rows=765,
        size="about 0.7 GB",
        columns=("question", "answer"),
    ),
    # The table has no names for its rows.
    identify=lambda item, number: str(number),
    reference=reference,
    check=check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="xAI 2024, Grok-1.5 Vision; Cambrian-1 eval/realworldqa, 539ffc3; lmms-eval 75571cf",
)
