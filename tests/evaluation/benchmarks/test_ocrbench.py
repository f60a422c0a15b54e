from collections import Counter

import pytest

from asvr.evaluation.benchmarks import PRESETS
from asvr.evaluation.benchmarks.ocrbench import FORMULAS, OCRBENCH

from .golden import cases, judge_run, needs_metrics, percents

PAPER = OCRBENCH.protocols["paper"]
WORD = {
    "dataset": "IIIT5K",
    "question": " what is written in the image? ",
    "question_type": "Regular Text Recognition",
    "answer": ["Market", "The Market"],
}
FORMULA = {**WORD, "dataset": "HME100k", "question_type": FORMULAS, "answer": ["x ^ { 2 }"]}


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recorded_answer_is_scored_as_the_reference_does(preset: str) -> None:
    recorded = list(cases("ocrbench_contains"))
    assert len(recorded) == 87
    for case in recorded:
        score = case["expected"]["score"] if preset == "paper" else case["alt"][preset.replace("-", "_")]
        assert OCRBENCH.protocols[preset].judge(case["item"], case["prediction"]).score == score, case


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_recorded_runs_give_the_recorded_numbers(preset: str) -> None:
    runs, protocol = list(cases("set_ocrbench")), OCRBENCH.protocols[preset]
    assert len(runs) == 2
    for run in runs:
        judged = judge_run(OCRBENCH, protocol, run)
        got, expected = percents(protocol, judged), run["expected"]
        assert got["accuracy"] == pytest.approx(expected["score"], abs=1e-6)
        right = sum(each.judgement.score for each in judged)
        assert right == (expected["correct"] if preset == "paper" else run["alt"][preset.replace("-", "_")]["correct"])
        kinds = Counter(each.category for each in judged)
        assert kinds.keys() == expected["per_category_correct"].keys()
        for kind, correct in expected["per_category_correct"].items():
            assert got[kind] == pytest.approx(100 * correct / kinds[kind])


@needs_metrics
def test_recorded_prompts() -> None:
    recorded = [case for case in cases("prompts") if case["benchmark"] == "ocrbench"]
    assert len(recorded) == 1
    for case in recorded:
        assert PAPER.prompt(case["item"]) == case["expected"]["user_message"]


def test_the_harnesses_put_the_question_alone() -> None:
    assert OCRBENCH.protocols["lmms-eval"].prompt(WORD) == "<image>\nwhat is written in the image?"
    assert OCRBENCH.protocols["vlmevalkit"].prompt(WORD) == "<image>\n what is written in the image? "


@pytest.mark.parametrize(
    ("item", "answer", "score"),
    [
        (WORD, "It says MARKET.", 1),
        (WORD, "mark et", 0),
        (WORD, "supermarkets", 1),  # Anywhere, inside longer words too.
        (FORMULA, "so x^{2} it is", 1),
        (FORMULA, "X^{2}", 0),
        (WORD, "", 0),
        (WORD, "market" * 2_000, 1),
        (WORD, "m" * 10_000, 0),
        ({**WORD, "answer": "Market"}, "market", 1),  # The authors' own file has texts, too.
        ({**WORD, "answer": [7]}, "17", 1),
        ({**WORD, "answer": ["two\nlines"]}, "Two lines", 1),
        ({**WORD, "answer": [" Market\n"]}, "market", 1),
        ({**FORMULA, "answer": ["\tx\n+ y "]}, "x+y", 1),
    ],
)
def test_the_answer_must_contain_a_reference(item: dict, answer: str, score: float) -> None:
    assert [OCRBENCH.protocols[preset].judge(item, answer).score for preset in PRESETS] == [score] * 3


def test_lmms_eval_folds_full_width_characters_but_not_in_formulas() -> None:
    """lmms-eval pull request 1415: U+FF01 to U+FF5E and U+3000, on both sides."""
    wide = {**WORD, "answer": ["５７４３（Ａ）"]}
    for item, answer in ((wide, "5743(a)"), ({**WORD, "answer": ["5743(a) b"]}, "５７４３（ａ）\u3000ｂ")):
        assert OCRBENCH.protocols["lmms-eval"].judge(item, answer).score == 1
        assert PAPER.judge(item, answer).score == OCRBENCH.protocols["vlmevalkit"].judge(item, answer).score == 0
    assert OCRBENCH.protocols["lmms-eval"].judge({**FORMULA, "answer": ["２"]}, "2").score == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": []}, r"`answer` is \[\], but a question is scored against"),
        ({"answer": ["a", " "]}, "an empty text is in every answer"),
        ({"question": None}, "`question` is None, but must be a text"),
    ],
)
def test_a_row_that_cannot_be_asked_or_scored_is_refused(change: dict, message: str) -> None:
    OCRBENCH.check(WORD)
    with pytest.raises(ValueError, match=message):
        OCRBENCH.check(WORD | change)


def test_names() -> None:
    assert (OCRBENCH.identify(WORD, 12), OCRBENCH.reference(WORD)) == ("12", "Market / The Market")
