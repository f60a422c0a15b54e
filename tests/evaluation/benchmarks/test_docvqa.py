from dataclasses import replace

import pytest

from asvr.evaluation.benchmark import Judged
from asvr.evaluation.benchmarks import PRESETS
from asvr.evaluation.benchmarks.docvqa import DOCVQA
from asvr.evaluation.sums import add_up

from .golden import cases, judge_run, needs_metrics, percents

PAPER = DOCVQA.protocols["paper"]
ITEM = {
    "questionId": "49153",
    "question": "Who?",
    "question_types": ["form", "layout"],
    "answers": ["Ms. Brown", "Brown"],
}


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recorded_answer_is_scored_as_the_reference_does(preset: str) -> None:
    """What is expected is lmms-eval's; the third recorded scorer, Cambrian-1's for ST-VQA, belongs to no preset."""
    recorded = list(cases("docvqa_anls"))
    assert len(recorded) == 89
    for case in recorded:
        anls = case["alt"]["vlmevalkit"] if preset == "vlmevalkit" else case["expected"]["anls"]
        judgement = DOCVQA.protocols[preset].judge(case["item"], case["prediction"])
        assert judgement.score == pytest.approx(anls, abs=1e-6), case


@needs_metrics
def test_recorded_runs_give_the_recorded_mean() -> None:
    runs = [case for case in cases("set_means") if case["benchmark"] == "docvqa"]
    assert len(runs) == 2
    for run in runs:
        rows = [{"questionId": number, **row} for number, row in enumerate(run["item"]["rows"])]
        got = percents(PAPER, judge_run(DOCVQA, PAPER, run | {"item": {"rows": rows}}))
        assert got["ANLS"] == pytest.approx(run["expected"]["score"], abs=1e-6)


@needs_metrics
def test_recorded_prompts() -> None:
    recorded = [case for case in cases("prompts") if case["benchmark"] == "docvqa"]
    assert len(recorded) == 2
    for case in recorded:
        for preset in PRESETS:
            assert DOCVQA.protocols[preset].prompt(case["item"]) == case["expected"]["user_message"]


@pytest.mark.parametrize(
    ("answers", "answer", "anls"),
    [
        (["abcd"], "abxx", 0.5),  # Exactly half stays,
        (["abcde"], "abxxx", 0.0),  # less is worth nothing.
        (["abcd", "abxx"], " ABXX ", 1.0),
        (["abcd"], "ab  cd", 1 - 1 / 6),  # One space is left of two, but both are measured.
        (["", "x"], "", 1.0),
        (["x"], "", 0.0),
        (["weiß"], "weif", 1 - 1 / 5),  # Measured in capitals: WEISS.
        (["a" * 9_999], "a" * 10_000, 0.9999),
        (["日本語"], "日本", 1 - 1 / 3),
        (["7"], "b" * 10_000, 0.0),
        ([1987], "1987", 1.0),
    ],
)
def test_similarities(answers: list, answer: str, anls: float) -> None:
    for preset in PRESETS:
        judgement = DOCVQA.protocols[preset].judge({**ITEM, "answers": answers}, answer)
        assert judgement.score == pytest.approx(anls, abs=1e-9)


def test_what_was_read_is_the_text_that_is_compared() -> None:
    assert PAPER.judge(ITEM, " Ms.\n BROWN ") == (pytest.approx(1 - 0 / 9), "ms. brown")
    assert PAPER.judge(ITEM, " \n").extracted == ""


def test_a_question_counts_in_each_of_its_kinds() -> None:
    category = DOCVQA.category(ITEM)
    assert category == "form, layout"
    judged = [
        Judged("1", ITEM, ("page",), category, PAPER.judge(ITEM, "Brown")),
        Judged("2", ITEM, ("page",), "figure/diagram", PAPER.judge(ITEM, "x")),
        Judged("3", ITEM, ("other",), "", PAPER.judge(ITEM, "Ms. Brown")),
    ]
    assert percents(PAPER, judged) == pytest.approx(
        {"ANLS": 200 / 3, "form": 100.0, "layout": 100.0, "figure/diagram": 0.0}
    )
    assert add_up(PAPER.mark(judged)).groups == ["page", "other"]
    assert DOCVQA.category({**ITEM, "question_types": None}) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": []}, r"`answers` is \[\], but a question is scored against"),
        ({"answers": None}, "another split if those of this one are hidden"),
        ({"question": ""}, "`question` is '', but must be a text"),
    ],
)
def test_a_row_that_cannot_be_asked_or_scored_is_refused(change: dict, message: str) -> None:
    DOCVQA.check(ITEM)
    with pytest.raises(ValueError, match=message):
        DOCVQA.check(ITEM | change)


def test_names() -> None:
    assert (DOCVQA.identify(ITEM, 0), DOCVQA.reference(ITEM)) == ("49153", "Ms. Brown / Brown")
    # The task files of lmms-eval 0.7.3: only the length is another.
    assert DOCVQA.protocols["lmms-eval"] == replace(PAPER, max_new_tokens=32)
