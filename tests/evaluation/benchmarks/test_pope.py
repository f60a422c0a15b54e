import pytest

from asvr.evaluation.benchmark import Judged, Judgement
from asvr.evaluation.benchmarks.pope import POPE
from asvr.evaluation.sums import add_up

from .golden import cases, judge_run, needs_metrics, percents

PAPER = POPE.protocols["paper"]
ITEM = {"question_id": "1", "question": "Is there a dog?", "answer": "yes", "category": "random"}

NUMBERS = {
    "lmms-eval": {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"},
    "vlmevalkit": {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1_overall": "F1"},
}
"""The recorded names of our metrics."""


@needs_metrics
@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_every_recorded_answer_is_judged_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("yesno_pope"))
    assert len(recorded) == 70
    for case in recorded:
        expected = case["expected"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        judgement = POPE.protocols[preset].judge(case["item"], case["prediction"])
        said = expected["extracted"].lower()
        assert judgement == (float(expected["correct"]), said if said in ("yes", "no") else ""), case


@needs_metrics
def test_recorded_runs_give_the_recorded_numbers() -> None:
    runs = list(cases("set_pope"))
    assert len(runs) == 2
    for run in runs:
        got = percents(PAPER, judge_run(POPE, PAPER, run))
        assert got["accuracy"] == pytest.approx(run["expected"]["accuracy"], abs=1e-6)
        assert run["expected"]["accuracy_by_category"].keys() == {"adversarial", "popular", "random"}
        for category, accuracy in run["expected"]["accuracy_by_category"].items():
            assert got[category] == pytest.approx(accuracy, abs=1e-6)


@needs_metrics
@pytest.mark.parametrize("preset", ["lmms-eval", "vlmevalkit"])
def test_recorded_runs_give_the_other_harnesses_numbers(preset: str) -> None:
    protocol = POPE.protocols[preset]
    for run in cases("set_pope"):
        got = percents(protocol, judge_run(POPE, protocol, run))
        alt = run["alt"][preset.replace("-", "_")]
        assert alt.keys() == NUMBERS[preset].keys()
        for name, metric in NUMBERS[preset].items():
            assert got[metric] == pytest.approx(alt[name], abs=1e-6)


@needs_metrics
def test_f1_by_category_is_the_official_one_where_answers_are_read_alike() -> None:
    """The official scorer reads otherwise than any preset, but its arithmetic is that of our marks."""
    for run in cases("set_pope"):
        judged = [
            each._replace(judgement=judge_officially(each.item["answer"], answer))
            for each, answer in zip(judge_run(POPE, PAPER, run), run["prediction"], strict=True)
        ]
        got = percents(PAPER, judged)
        for category, numbers in run["alt"]["pope_official"]["by_category"].items():
            assert got[category] == pytest.approx(numbers["accuracy"], abs=1e-6)
            assert got[f"{category}/F1"] == pytest.approx(numbers["f1"], abs=1e-6)


def judge_officially(reference: str, answer: str) -> Judgement:
    """benchmarks.md, section 14: up to the first full stop, without commas, "no" if it has the word No, no or not."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    said = "no" if {"No", "no", "not"} & set(words) else "yes"
    return Judgement(float(said == reference), said)


def test_f1_is_a_ratio_of_sums() -> None:
    said = [("yes", "yes"), ("yes", "yes"), ("yes", "no"), ("no", "yes"), ("yes", ""), ("no", "no")]
    judged = [
        Judged(str(i), {**ITEM, "answer": answer}, (), "random", Judgement(float(answer == word), word))
        for i, (answer, word) in enumerate(said)
    ]
    # Two right, one wrong and two missing "yes": F1 = 2*2 / (2*2 + 1 + 2), precision 2/3, recall 2/4.
    got = percents(PAPER, judged)
    assert got["F1"] == pytest.approx(100 * 4 / 7)
    assert (got["precision"], got["recall"]) == (pytest.approx(100 * 2 / 3), 50)
    assert got["F1"] == pytest.approx(2 * got["precision"] * got["recall"] / (got["precision"] + got["recall"]))
    # lmms-eval does not miss the unread one: 4 / (4 + 1 + 1).
    assert percents(POPE.protocols["lmms-eval"], judged)["F1"] == pytest.approx(100 * 4 / 6)
    assert percents(POPE.protocols["lmms-eval"], judged)["accuracy"] == got["accuracy"] == 50


def test_questions_about_one_picture_are_drawn_together() -> None:
    judged = [Judged(str(i), ITEM, ("abc",), "random", Judgement(1.0, "yes")) for i in range(3)]
    assert add_up(PAPER.mark(judged)).groups == ["abc"]


def test_the_headline_is_accuracy_or_f1() -> None:
    assert PAPER.headline == POPE.protocols["lmms-eval"].headline == "accuracy"
    assert POPE.protocols["vlmevalkit"].headline == "F1"


def test_questions_of_different_kinds_share_numbers() -> None:
    assert POPE.identify(ITEM, 0) == "random/1"
    assert POPE.identify({**ITEM, "category": "popular"}, 1) == "popular/1"


@pytest.mark.parametrize("answer", ["", " \n", ".", "y" * 10_000, "да", "Yes" + "!" * 9_997])
def test_odd_answers_are_wrong(answer: str) -> None:
    assert PAPER.judge(ITEM, answer) == (0.0, "")


def test_a_row_that_cannot_be_scored_is_refused() -> None:
    POPE.check(ITEM)
    with pytest.raises(ValueError, match="`answer` is 'unknown', but must be one of yes, no"):
        POPE.check({**ITEM, "answer": "unknown"})


def test_prompts() -> None:
    expected = "<image>\nIs there a dog?\nAnswer the question using a single word or phrase."
    assert PAPER.prompt(ITEM) == POPE.protocols["lmms-eval"].prompt(ITEM) == expected
    assert POPE.protocols["vlmevalkit"].prompt(ITEM) == "<image>\nIs there a dog?"
