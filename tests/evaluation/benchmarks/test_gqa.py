import pytest

from asvr.evaluation.benchmarks import PRESETS
from asvr.evaluation.benchmarks.gqa import GQA

from .golden import cases, judge_run, needs_metrics, percents

PAPER = GQA.protocols["paper"]
ITEM = {
    "id": "201307251",
    "imageId": "n161313",
    "question": "Is it overcast?",
    "answer": "no",
    "types": {"detailed": "weatherVerify", "semantic": "global", "structural": "verify"},
}


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recorded_answer_is_scored_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("gqa_exact_match"))
    assert len(recorded) == 79
    for case in recorded:
        score = case["expected"]["score"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        assert GQA.protocols[preset].judge(case["item"], case["prediction"]).score == score, case


@needs_metrics
def test_recorded_runs_give_the_recorded_mean() -> None:
    runs = [case for case in cases("set_means") if case["benchmark"] == "gqa"]
    assert len(runs) == 2
    for run in runs:
        rows = [{"id": number, **row} for number, row in enumerate(run["item"]["rows"])]
        got = percents(PAPER, judge_run(GQA, PAPER, run | {"item": {"rows": rows}}))
        assert got["accuracy"] == pytest.approx(run["expected"]["score"], abs=1e-6)


@needs_metrics
def test_recorded_prompts() -> None:
    recorded = [case for case in cases("prompts") if case["benchmark"] == "gqa"]
    assert len(recorded) == 1
    for case in recorded:
        for preset in PRESETS:
            assert GQA.protocols[preset].prompt(case["item"]) == case["expected"]["user_message"]


@pytest.mark.parametrize(
    ("right", "answer", "scores"),
    [
        ("no", " No\n", (1, 1, 1)),
        ("no", "no...", (1, 1, 0)),
        ("no", "no!", (0, 1, 0)),
        ("t-shirt", "tshirt", (0, 1, 0)),
        ("no", "no, it is not", (0, 0, 0)),
        ("café", "CAFÉ.", (1, 1, 0)),
        ("café", "cafe", (0, 0, 0)),
        (2, "2", (1, 1, 1)),
        ("no", "", (0, 0, 0)),
        ("no", ".", (0, 0, 0)),
        ("no", "no" * 5_000, (0, 0, 0)),
        ("no", "нет", (0, 0, 0)),
    ],
)
def test_the_answer_must_be_the_reference(right: object, answer: str, scores: tuple[float, ...]) -> None:
    assert tuple(GQA.protocols[preset].judge({**ITEM, "answer": right}, answer).score for preset in PRESETS) == scores


def test_questions_are_sorted_by_structure() -> None:
    assert GQA.category(ITEM) == "verify"
    assert GQA.category({**ITEM, "types": None}) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": " "}, "`answer` is ' ', but a question has one right answer"),
        ({"answer": None}, "`answer` is None, but a question is scored against a text"),
        ({"question": 3}, "`question` is 3, but must be a text"),
    ],
)
def test_a_row_that_cannot_be_asked_or_scored_is_refused(change: dict, message: str) -> None:
    GQA.check(ITEM)
    with pytest.raises(ValueError, match=message):
        GQA.check(ITEM | change)


def test_names_and_pictures() -> None:
    assert (GQA.identify(ITEM, 0), GQA.reference(ITEM)) == ("201307251", "no")
    assert GQA.table.images == () and GQA.table.pictures is not None
    assert (GQA.table.pictures.by, GQA.table.pictures.key) == ("imageId", "id")
