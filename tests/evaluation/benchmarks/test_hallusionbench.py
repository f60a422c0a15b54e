import pytest

from asvr.evaluation.benchmark import Judged, Judgement
from asvr.evaluation.benchmarks.hallusionbench import HALLUSIONBENCH
from asvr.evaluation.sums import add_up

from .golden import cases, judge_run, needs_metrics, percents

PAPER = HALLUSIONBENCH.protocols["paper"]
ITEM = {
    "category": "VD",
    "subcategory": "illusion",
    "visual_input": "1",
    "set_id": "3",
    "figure_id": "0",
    "question_id": "1",
    "question": "Is it longer?",
    "gt_answer": "1",
}


@needs_metrics
@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_every_recorded_answer_is_judged_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("yesno_hallusionbench"))
    assert len(recorded) == 70
    for case in recorded:
        # The recorded scorer is VLMEvalKit's; lmms-eval's is its rule without a judge model.
        expected = case["alt"]["lmms_eval_intern"] if preset == "lmms-eval" else case["expected"]
        judgement = HALLUSIONBENCH.protocols[preset].judge(case["item"], case["prediction"])
        said = expected["extracted"].lower().replace("unknown", "")
        assert judgement == (float(expected["correct"]), said), case


@needs_metrics
@pytest.mark.parametrize("preset", ["paper", "vlmevalkit"])
def test_recorded_runs_give_the_recorded_numbers(preset: str) -> None:
    protocol = HALLUSIONBENCH.protocols[preset]
    runs = list(cases("set_hallusionbench"))
    assert len(runs) == 2
    for run in runs:
        got = percents(protocol, judge_run(HALLUSIONBENCH, protocol, run))
        expected = {**run["expected"], "mean": run["expected"]["score"]}
        for name in ("mean", "aAcc", "fAcc", "qAcc"):
            assert got[name] == pytest.approx(expected[name], abs=1e-6)
            if name != "mean":
                assert got[name] == pytest.approx(run["alt"]["official_aggregation"][name], abs=1e-6)
        assert expected["by_category"].keys() == {"VD", "VS"}
        for category, numbers in expected["by_category"].items():
            for name, value in numbers.items():
                assert got[f"{category}/{name}"] == pytest.approx(value, abs=1e-6)


@needs_metrics
def test_recorded_runs_give_lmms_evals_numbers() -> None:
    protocol = HALLUSIONBENCH.protocols["lmms-eval"]
    for run in cases("set_hallusionbench"):
        got = percents(protocol, judge_run(HALLUSIONBENCH, protocol, run))
        for name, value in run["alt"]["lmms_eval_intern"].items():
            assert got[name] == pytest.approx(value, abs=1e-6)


def test_figures_and_question_groups_of_a_set_are_drawn_together() -> None:
    # Two figures, two questions about each: a cross, one of whose four corners is wrong.
    judged = [
        Judged(
            f"{figure}{question}",
            {**ITEM, "figure_id": figure, "question_id": question},
            (figure,),
            "VD",
            Judgement(float((figure, question) != ("1", "1")), "yes"),
        )
        for figure in "01"
        for question in "01"
    ]
    sums = add_up(PAPER.mark(judged))
    assert sums.groups == ["VD/illusion/3"]
    got = percents(PAPER, judged)
    assert (got["aAcc"], got["fAcc"], got["qAcc"]) == (75, 50, 50)
    assert got["mean"] == pytest.approx(175 / 3)


def test_the_same_numbers_in_another_subcategory_are_another_set() -> None:
    others = [{**ITEM, "subcategory": "chart"}, {**ITEM, "category": "VS"}, {**ITEM, "set_id": "4"}]
    judged = [
        Judged(str(i), item, (), item["category"], Judgement(1.0, "yes")) for i, item in enumerate([ITEM, *others])
    ]
    assert len(add_up(PAPER.mark(judged)).groups) == 4
    assert len({HALLUSIONBENCH.identify(each.item, 0) for each in judged}) == 4


def test_questions_without_a_picture_are_left_out() -> None:
    assert HALLUSIONBENCH.leave_out({**ITEM, "visual_input": "0"}) == "asked without a picture"
    assert HALLUSIONBENCH.leave_out({**ITEM, "visual_input": "2"}) == ""


def test_prompts() -> None:
    assert PAPER.prompt(ITEM) == "<image>\nIs it longer?\nAnswer the question using a single word or phrase."
    # Neither harness adds a sentence (read in their sources).
    assert HALLUSIONBENCH.protocols["lmms-eval"].prompt(ITEM) == "<image>\nIs it longer?"
    assert HALLUSIONBENCH.protocols["vlmevalkit"].prompt(ITEM) == "<image>\nIs it longer?"


@pytest.mark.parametrize("answer", ["", " \n", "y" * 10_000, "да", "yes and no " * 1_000])
def test_odd_answers_are_wrong(answer: str) -> None:
    assert PAPER.judge(ITEM, answer) == (0.0, "")


@pytest.mark.parametrize("answer", ["Yes, 1,000 of them", "yes. " * 2_000, "1.5, yes"])
def test_long_and_numeric_answers_are_read(answer: str) -> None:
    assert PAPER.judge(ITEM, answer) == (1.0, "yes")


def test_a_row_that_cannot_be_scored_is_refused() -> None:
    HALLUSIONBENCH.check(ITEM)
    with pytest.raises(ValueError, match="`gt_answer` is '2', but must be one of 0, 1"):
        HALLUSIONBENCH.check({**ITEM, "gt_answer": "2"})
