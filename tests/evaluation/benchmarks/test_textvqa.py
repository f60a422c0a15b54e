import pytest

from asvr.evaluation.benchmark import Judged
from asvr.evaluation.benchmarks import PRESETS
from asvr.evaluation.benchmarks.textvqa import TEXTVQA
from asvr.evaluation.sums import add_up

from .golden import cases, judge_run, needs_metrics, percents

PAPER = TEXTVQA.protocols["paper"]
ITEM = {"question_id": 7, "question": "what IS it?", "answers": ["stop"] * 10, "ocr_tokens": ["STOP", "all", "way"]}


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recorded_answer_is_scored_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("textvqa_vqa_accuracy"))
    assert len(recorded) == 125
    for case in recorded:
        score = case["expected"]["score"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        judgement = TEXTVQA.protocols[preset].judge(case["item"], case["prediction"])
        assert judgement.score == pytest.approx(score, abs=1e-6), case
        if preset == "paper":
            assert judgement.extracted == case["expected"]["normalized_prediction"], case


@needs_metrics
def test_recorded_runs_give_the_recorded_mean() -> None:
    runs = [case for case in cases("set_means") if case["benchmark"] == "textvqa"]
    assert len(runs) == 2
    for run in runs:
        rows = [{"question_id": number, **row} for number, row in enumerate(run["item"]["rows"])]
        got = percents(PAPER, judge_run(TEXTVQA, PAPER, run | {"item": {"rows": rows}}))
        assert got[PAPER.headline] == pytest.approx(run["expected"]["score"], abs=1e-6)


@needs_metrics
def test_recorded_prompts() -> None:
    recorded = [case for case in cases("prompts") if case["benchmark"] == "textvqa"]
    assert len(recorded) == 2
    for case in recorded:
        assert PAPER.prompt(case["item"]) == case["expected"]["user_message"]


def test_the_harnesses_show_no_ocr_tokens() -> None:
    suffix = "Answer the question using a single word or phrase."
    assert PAPER.prompt(ITEM) == f"<image>\nwhat IS it?\nReference OCR tokens: STOP, all, way\n{suffix}"
    assert TEXTVQA.protocols["lmms-eval"].prompt(ITEM) == f"<image>\nWhat is it?\n{suffix}"
    assert TEXTVQA.protocols["vlmevalkit"].prompt(ITEM) == f"<image>\nwhat IS it?\n{suffix}"


@pytest.mark.parametrize("agreeing", range(11))
def test_the_score_is_the_mean_over_people_left_out(agreeing: int) -> None:
    answers = ["stop"] * agreeing + ["go"] * (10 - agreeing)
    others = [answers[:left_out] + answers[left_out + 1 :] for left_out in range(10)]
    expected = sum(min(1.0, rest.count("stop") / 3) for rest in others) / 10
    assert PAPER.judge({**ITEM, "answers": answers}, "Stop.").score == pytest.approx(expected)
    # benchmarks.md, section 1.
    assert expected == pytest.approx({0: 0, 1: 0.3, 2: 0.6, 3: 0.9}.get(agreeing, 1))


def test_an_empty_answer_equals_an_answer_that_normalises_to_nothing() -> None:
    assert PAPER.judge({**ITEM, "answers": ["the"] * 2 + ["go"] * 8}, "") == (pytest.approx(0.6), "")


@pytest.mark.parametrize("answer", ["", " \n", "s" * 10_000, "停止", "stop " * 2_000, "\u2028"])
def test_odd_answers_are_wrong(answer: str) -> None:
    assert [TEXTVQA.protocols[preset].judge(ITEM, answer).score for preset in PRESETS] == [0, 0, 0]


def test_numbers_are_answers_too() -> None:
    """JSON may hold 7 where the hub has "7"."""
    assert PAPER.judge({**ITEM, "answers": [7] * 10}, "seven") == (1.0, "7")


def test_questions_about_one_picture_are_drawn_together() -> None:
    judged = [Judged(str(i), ITEM, ("abc",), "", PAPER.judge(ITEM, "stop")) for i in range(3)]
    sums = add_up(PAPER.mark(judged))
    assert (sums.groups, sums.counts.tolist()) == (["abc"], [[3.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": []}, "the right answers"),
        ({"answers": None}, "the right answers"),
        ({"answers": [None] * 10}, "the right answers"),
        ({"answers": "['stop', 'stop']"}, "holds 1, but the full score takes 4 equal ones"),
        ({"ocr_tokens": "STOP"}, "`ocr_tokens` is 'STOP', but must be a list"),
        ({"question": " "}, "`question` is ' ', but must be a text"),
        ({"question": None}, "`question` is None, but must be a text"),
    ],
)
def test_a_row_that_cannot_be_asked_or_scored_is_refused(change: dict, message: str) -> None:
    TEXTVQA.check(ITEM)
    with pytest.raises(ValueError, match=message):
        TEXTVQA.check(ITEM | change)


def test_the_reference_names_the_answers_of_most_people_first() -> None:
    assert TEXTVQA.reference({**ITEM, "answers": ["go"] + ["stop"] * 8 + ["halt"]}) == "stop / go / halt"
    assert TEXTVQA.identify(ITEM, 3) == "7"
