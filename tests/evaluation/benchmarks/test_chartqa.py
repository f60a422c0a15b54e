import pytest

from asvr.evaluation.benchmarks import PRESETS
from asvr.evaluation.benchmarks.chartqa import CHARTQA

from .golden import cases, judge_run, needs_metrics, percents

PAPER = CHARTQA.protocols["paper"]
ITEM = {"question": "How many bars?", "answer": "7", "type": "human_test"}


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recorded_answer_is_scored_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("chartqa_relaxed"))
    assert len(recorded) == 112
    for case in recorded:
        score = case["expected"]["score"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        assert CHARTQA.protocols[preset].judge(case["item"], case["prediction"]).score == score, case


@needs_metrics
def test_recorded_runs_give_the_recorded_means() -> None:
    runs = [case for case in cases("set_means") if case["benchmark"] == "chartqa"]
    assert len(runs) == 2
    for run in runs:
        judged, expected = judge_run(CHARTQA, PAPER, run), run["expected"]
        got = percents(PAPER, judged)
        assert got["relaxed accuracy"] == pytest.approx(expected["score"], abs=1e-6)
        for kind in ("human", "augmented"):
            assert got[f"{kind}_test"] == pytest.approx(expected[kind], abs=1e-6)
            assert sum(each.category == f"{kind}_test" for each in judged) == expected[f"n_{kind}"]


@needs_metrics
def test_recorded_prompts() -> None:
    recorded = [case for case in cases("prompts") if case["benchmark"] == "chartqa"]
    assert len(recorded) == 2
    for case in recorded:
        assert PAPER.prompt(case["item"]) == case["expected"]["user_message"]


def test_the_harnesses_ask_otherwise() -> None:
    lmms_eval, vlmevalkit = CHARTQA.protocols["lmms-eval"], CHARTQA.protocols["vlmevalkit"]
    assert lmms_eval.prompt(ITEM) == "<image>\nHow many bars?\nAnswer the question with a single word."
    assert vlmevalkit.prompt(ITEM) == "<image>\nHow many bars?\nAnswer the question using a single word or phrase."


@pytest.mark.parametrize(
    ("right", "answer", "scores"),
    [
        ("20", "19", (1, 1, 1)),  # A twentieth off is right, more is not.
        ("20", "18.99", (0, 0, 0)),
        ("-4", "-4.1", (1, 1, 1)),
        ("0", "0.0", (1, 0, 0)),
        ("0", "0.01", (0, 0, 0)),
        ("45%", "0.45", (0, 1, 1)),
        ("45%", "46%%", (0, 1, 1)),
        ("45%", "45%", (1, 1, 1)),
        ("%", "%", (1, 1, 1)),
        ("2019", "2018", (1, 1, 1)),  # Years are numbers.
        ("[2012, 2013]", "2013", (0, 0, 1)),
        ("[2012, 2013]", "[2012, 2013]", (1, 1, 0)),
        ("[Apple, Samsung]", "[apple, samsung]", (1, 1, 1)),
        ("(1, 2)", "(1, 2)", (1, 1, 1)),
        ("Yes", " yes\n", (1, 1, 1)),
        ("Yes", "yes.", (0, 0, 0)),
        (7, "7.2", (1, 1, 1)),
        (7.0, "7", (1, 1, 1)),
        ("7", "７", (1, 1, 1)),  # Full-width digits are a number to Python.
        ("nan", "nan", (0, 0, 0)),
        ("inf", "inf", (0, 0, 0)),
        ("7", "", (0, 0, 0)),
        ("7", "7" * 10_000, (0, 0, 0)),
        ("7", "семь", (0, 0, 0)),
    ],
)
def test_numbers_may_be_a_twentieth_off(right: object, answer: str, scores: tuple[float, ...]) -> None:
    judged = [CHARTQA.protocols[preset].judge({**ITEM, "answer": right}, answer) for preset in PRESETS]
    assert tuple(judgement.score for judgement in judged) == scores


def test_what_was_read_is_empty_for_an_empty_answer_alone() -> None:
    assert [CHARTQA.protocols[preset].judge(ITEM, " \n").extracted for preset in PRESETS] == [""] * 3
    assert [CHARTQA.protocols[preset].judge(ITEM, " Seven.").extracted for preset in PRESETS] == ["seven."] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": ""}, "`answer` is '', but a question has one right answer"),
        ({"answer": ["7", "8"]}, r"`answer` is \['7', '8'\], but a question has one right answer"),
        ({"answer": True}, "`answer` is True, but a question is scored against a text"),
        ({"question": ""}, "`question` is '', but must be a text"),
    ],
)
def test_a_row_that_cannot_be_asked_or_scored_is_refused(change: dict, message: str) -> None:
    CHARTQA.check(ITEM)
    with pytest.raises(ValueError, match=message):
        CHARTQA.check(ITEM | change)


def test_names() -> None:
    assert (CHARTQA.identify(ITEM, 12), CHARTQA.reference({**ITEM, "answer": 7})) == ("12", "7")
