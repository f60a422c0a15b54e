"""HallusionBench: yes-or-no questions about charts, maps and illusions, asked again about altered versions of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from asvr.evaluation.benchmark import Benchmark, Item, Judged, Judgement, Mark, Protocol, Table, percent
from asvr.evaluation.benchmarks.short_answer import WORD_OR_PHRASE, ask, check_question
from asvr.evaluation.benchmarks.yes_no import check_one_of, compare, find_word

QUESTION, FIGURE, GROUP = "aAcc", "fAcc", "qAcc"
"""Ratios of questions that are right, of figures with all their questions right, and of question groups (the same
question about every version of a figure) with all of them right."""

HEADLINE = "mean"
REFERENCES = {"0": "no", "1": "yes"}


def judge(item: Item, answer: str) -> Judgement:
    """As VLMEvalKit does without a judge model: the word must occur, and the other must not."""
    return compare(find_word(answer), REFERENCES[str(item["gt_answer"])])


def judge_yes(item: Item, answer: str) -> Judgement:
    """As lmms-eval's rule without a judge model does: an answer with "yes" anywhere is one, every other a "no"."""
    return compare("yes" if "yes" in answer.lower() else "no", REFERENCES[str(item["gt_answer"])])


def identify(item: Item, number: int) -> str:
    """Names a row by its set, figure and question."""
    return f"{_set(item)}/{item['figure_id']}/{item['question_id']}"


def mark(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks questions, figures and question groups, in all and by category (such as "VD/aAcc").

    Figures and question groups cross each other inside a set. So a set, not a figure, is the smallest group that can
    be drawn in a bootstrap without tearing one of them.
    """
    units: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for each in judged:
        where, score = (_set(each.item), each.category), each.judgement.score
        units[(QUESTION, *where, each.id)].append(score)
        units[(FIGURE, *where, str(each.item["figure_id"]))].append(score)
        units[(GROUP, *where, str(each.item["question_id"]))].append(score)
    for (ratio, group, category, _), scores in units.items():
        right = float(all(scores))
        yield Mark(ratio, group, right)
        yield Mark(f"{category}/{ratio}", group, right)


def _set(item: Item) -> str:
    return f"{item['category']}/{item['subcategory']}/{item['set_id']}"


def _check(item: Item) -> None:
    check_question(item)
    check_one_of(item, "gt_answer", tuple(REFERENCES))


PAPER = Protocol(
    prompt=partial(ask, suffix=WORD_OR_PHRASE),
    judge=judge,
    mark=mark,
    headline=HEADLINE,
    metrics={
        HEADLINE: lambda ratios: 100 * (ratios[QUESTION] + ratios[FIGURE] + ratios[GROUP]) / 3,
        **{name: percent(name) for name in (QUESTION, FIGURE, GROUP)},
    },
    note=(
        "The paper does not say which number it prints; its values fit the mean of aAcc, fAcc and qAcc (OpenCompass) "
        "and none of the three alone. Questions without a picture are left out. An answer without exactly one of the "
        "words 'yes' and 'no' is wrong; the official scorer asks GPT-4 instead."
    ),
)
LMMS_EVAL = replace(
    PAPER,
    prompt=ask,
    judge=judge_yes,
    max_new_tokens=128,
    note=(
        "lmms-eval asks GPT-4 whether an answer agrees with the reference. Here its own rule without a judge is used: "
        "an answer with the letters 'yes' is a yes, every other one, also an empty one, a no."
    ),
)
VLMEVALKIT = replace(PAPER, prompt=ask)

HALLUSIONBENCH = Benchmark(
    name="hallusionbench",
    column="HBench",
    table=Table(
        hub="lmms-lab/HallusionBench",
        split="image",
        num_rows=951,
        size="about 0.4 GB",
        columns=(
            "category",
            "subcategory",
            "visual_input",
            "set_id",
            "figure_id",
            "question_id",
            "question",
            "gt_answer",
        ),
    ),
    identify=identify,
    reference=lambda item: REFERENCES[str(item["gt_answer"])],
    category=lambda item: str(item["category"]),
    leave_out=lambda item: "asked without a picture" if str(item["visual_input"]) == "0" else "",
    check=_check,
    protocols={"paper": PAPER, "lmms-eval": LMMS_EVAL, "vlmevalkit": VLMEVALKIT},
    source="Guan et al. 2024 (arXiv 2310.14566), tianyi-lab/HallusionBench; VLMEvalKit e8e78f0; lmms-eval 75571cf",
)
