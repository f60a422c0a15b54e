"""Comparisons of invented marks, by the evaluation's own engine, as the JSON file holds them."""

import json
from collections.abc import Sequence
from typing import Any

from asvr.evaluation.arms import Arm
from asvr.evaluation.compare import compare_all
from asvr.evaluation.comparison import to_content
from tests.evaluation.arms import make_arm

HASH = "0123456789abcdef" * 4


def an_arm(name: str, shares: Sequence[float], *, num_questions: int = 120) -> Arm:
    """An arm with a seed per share of right answers, two kinds of question, one picture per question."""
    marks = [[(7 * index) % 100 < 100 * share for index in range(num_questions)] for share in shares]
    return make_arm(name, marks, num_categories=2)


def a_comparison(arms: dict[str, Sequence[float]], *, num_questions: int = 120) -> dict[str, Any]:
    """Of answers to records; the first arm is the baseline."""
    baseline, *others = (an_arm(name, shares, num_questions=num_questions) for name, shares in arms.items())
    about = {
        "evaluation": "nlvr",
        "prompt_hash": HASH,
        "resamples": 1000,
        "runs": {name: f"/runs/{name}" for name in arms},
        "seeds": list(baseline.runs),
    }
    return json.loads(json.dumps(to_content(compare_all(baseline, others, resamples=1000), about=about)))


def as_benchmarks(content: dict[str, Any]) -> dict[str, Any]:
    """The same as if the kinds of question were benchmarks, with what only those have."""
    comparisons = [
        {
            **each,
            "overall": None,
            "leave_one_out": dict.fromkeys(each["categories"], each["average"]),
            "secondary": {"pope F1": {**each["average"], "adjusted_p": 0.0}},
            "robustness": "The same verdict whichever is left out.",
        }
        for each in content["comparisons"]
    ]
    header = {"versions": {"asvr": "0.1.0", "torch": "2.9"}}
    benchmarks = {
        name: {
            "preset": "paper",
            "headline": "accuracy",
            "source": "where it is from",
            "note": "what to know",
            "prompt_hash": HASH,
            "limit": None,
            "left_out": {"about a video": 3},
            "headers": {arm: {"seed-0": header} for arm in content["about"]["runs"]},
        }
        for name in comparisons[0]["categories"]
    }
    about = {
        **content["about"],
        "benchmarks": benchmarks,
        "lacking": {},
        "chat_templates": {arm: ["vicuna"] for arm in content["about"]["runs"]},
        "unmeasured": [],
    }
    return {"about": about, "comparisons": comparisons}
