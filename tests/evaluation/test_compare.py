import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asvr.evaluation.arms import Arm
from asvr.evaluation.compare import compare, compare_all
from asvr.evaluation.comparison import write_comparisons
from tests.evaluation.arms import make_arm


def test_the_figures_of_a_case_counted_by_hand():
    # Two kinds in turn. Seed 0: a right on questions 0, 1; b on 0, 1, 2. Seed 1: a on none, b on 0, 2.
    a = make_arm("a", [[True, True, False, False], [False] * 4], num_categories=2)
    b = make_arm("b", [[True, True, True, False], [True, False, True, False]], num_categories=2)
    result = compare(a, b, resamples=100)
    first, second = result.categories["kind 0"], result.categories["kind 1"]
    # Kind 0 is questions 0 and 2: a has 50 % and 0 %, b has 100 % twice.
    assert (first.baseline, first.accuracy, first.difference) == (25, 100, 75)
    assert first.seed_differences == {"seed-0": 50, "seed-1": 100}
    assert first.seed_deviation == pytest.approx(50 / 2**0.5)
    # 75 -+ 12.706 * 35.36 / sqrt(2)
    assert first.seed_interval == pytest.approx((75 - 12.7062 * 25, 75 + 12.7062 * 25), abs=1e-2)
    # Kind 1 is questions 1 and 3: both have 50 % and 0 %.
    assert (second.baseline, second.accuracy, second.difference) == (25, 25, 0)
    assert result.average.difference == 37.5
    assert (result.overall.baseline, result.overall.accuracy) == (25, 62.5)
    assert (result.overall.num_questions, result.overall.num_groups, first.num_groups) == (4, 4, 2)


def test_the_average_weighs_kinds_and_the_overall_figure_questions():
    # Three kinds of 14, 13 and 13 questions; b is right on all of kind 0 only.
    a = make_arm("a", [[False] * 40], num_categories=3)
    b = make_arm("b", [[index % 3 == 0 for index in range(40)]], num_categories=3)
    result = compare(a, b, resamples=200)
    assert result.average.difference == pytest.approx(100 / 3)
    assert result.overall.difference == pytest.approx(100 * 14 / 40)
    assert result.average.question_interval == pytest.approx((100 / 3, 100 / 3))


def test_equal_answers_are_not_distinguishable():
    marks = np.random.default_rng(0).random((3, 60)) < 0.5
    result = compare(make_arm("a", marks.tolist()), make_arm("b", marks.tolist()), resamples=200)
    for difference in (result.average, result.overall, *result.categories.values()):
        assert (difference.difference, difference.question_interval, difference.seed_interval) == (0, (0, 0), (0, 0))
        assert difference.p == 1
        assert "not distinguishable" in difference.verdict


def test_questions_about_one_picture_are_not_independent():
    generator = np.random.default_rng(0)
    # All eight questions about a picture go right or wrong together.
    a, b = ((generator.random(100) < 0.5).repeat(8).tolist() for _ in range(2))
    grouped = compare(make_arm("a", [a], questions_per_image=8), make_arm("b", [b], questions_per_image=8))
    single = compare(make_arm("a", [a]), make_arm("b", [b]))
    # Eight copies of 100 independent pictures: the true error is sqrt(8), or 2.8, times that of 800 questions.
    ratio = grouped.overall.smallest_detectable / single.overall.smallest_detectable
    assert ratio == pytest.approx(8**0.5, rel=0.1)


def test_pairing_cancels_what_both_arms_find_hard():
    generator = np.random.default_rng(0)
    a = generator.random(400) < 0.5
    b = a | (generator.random(400) < 0.05)
    paired = compare(make_arm("a", [a.tolist()]), make_arm("b", [b.tolist()])).overall
    # Unpaired, the difference of two shares near one half over 400 questions has a half-width of about 6.9 points.
    low, high = paired.wider_interval
    assert (high - low) / 2 < 3
    assert "b is better than a by" in paired.verdict


def _arm_with_gains(gains: list[float], *, num_questions: int = 1000) -> tuple[Arm, Arm]:
    """A baseline that is right on 40 %, and an arm that is right on more, by so many points for each seed."""
    a = [[index < 0.4 * num_questions for index in range(num_questions)] for _ in gains]
    b = [[index < (0.4 + gain / 100) * num_questions for index in range(num_questions)] for gain in gains]
    return make_arm("base", a), make_arm("asvr", b)


def test_better_on_every_seed_is_better():
    result = compare(*_arm_with_gains([9.0, 10.0, 11.0])).average
    assert result.verdict.startswith("asvr is better than base by 10.0 points [")
    assert result.adjusted_p < 0.01


def test_a_worse_arm_is_called_worse():
    a, b = _arm_with_gains([9.0, 10.0, 11.0])
    assert compare(b, a).average.verdict.startswith("base is worse than asvr by 10.0 points [-")


def test_seeds_that_disagree_are_not_outvoted_by_many_questions():
    result = compare(*_arm_with_gains([30.0, -5.0, 5.0])).average
    assert result.question_interval[0] > 0
    assert result.seed_interval is not None and result.seed_interval[0] < 0
    assert "not distinguishable" in result.verdict
    assert result.wider_interval == result.seed_interval


def test_questions_that_disagree_are_not_outvoted_by_equal_seeds():
    a, b = _arm_with_gains([10.0, 10.0, 10.0], num_questions=20)
    result = compare(a, b).average
    assert result.seed_interval == pytest.approx((10, 10))
    assert "not distinguishable" in result.verdict


def test_one_seed_says_that_the_noise_of_training_is_not_covered():
    result = compare(*_arm_with_gains([10.0])).average
    assert (result.seed_interval, result.seed_deviation) == (None, None)
    assert result.verdict.startswith("asvr is better")
    assert result.verdict.endswith("One seed each: the noise of training is not covered.")
    assert "noise" not in compare(*_arm_with_gains([10.0, 10.0])).average.verdict


def test_a_handful_of_pictures_decides_nothing():
    a, b = make_arm("a", [[False] * 90], questions_per_image=10), make_arm("b", [[True] * 90], questions_per_image=10)
    result = compare(a, b).overall
    assert (result.num_groups, result.question_interval, result.p) == (9, (-100, 100), 1)
    assert result.verdict.startswith("b and a are not distinguishable: +100.0 points, resting on 9 groups of questions")


def test_several_arms_must_be_better_by_more():
    generator = np.random.default_rng(3)
    base = generator.random(400) < 0.5
    lucky = base.copy()
    lucky[np.flatnonzero(~base)[:12]] = True
    lucky[np.flatnonzero(base)[:3]] = False
    # 12 won against 3 lost: a sign test gives p = 0.035; five arms times that is no longer below 0.05.
    a, b = make_arm("base", [base.tolist()]), make_arm("lucky", [lucky.tolist()])
    others = [replace(make_arm("", [base.tolist()]), name=f"equal {index}") for index in range(4)]
    alone, beside = compare(a, b), compare_all(a, [b, *others])[0]
    assert "better" in alone.overall.verdict
    assert beside.overall.p == alone.overall.p
    assert beside.overall.adjusted_p == pytest.approx(5 * alone.overall.p)
    assert "not distinguishable" in beside.overall.verdict


def test_the_order_of_the_answers_does_not_matter():
    a, b = _arm_with_gains([9.0, 10.0])
    shuffled = replace(b, runs={seed: tuple(reversed(b.runs[seed])) for seed in reversed(b.runs)})
    result, again = compare(a, b, resamples=200), compare(a, shuffled, resamples=200)
    assert result == again


def test_what_is_detectable_is_2_80_errors_where_the_interval_has_1_96():
    difference = compare(*_arm_with_gains([9.0, 10.0, 11.0])).average
    low, high = difference.wider_interval
    assert difference.smallest_detectable == pytest.approx((high - low) / 2 * (1.95996 + 0.84162) / 1.95996, rel=1e-4)
    # At 90 % the interval has 1.645 errors.
    assert replace(difference, confidence=0.9).smallest_detectable == pytest.approx(
        (high - low) / 2 * (1.64485 + 0.84162) / 1.64485, rel=1e-4
    )


def test_a_comparison_with_no_other_arm_is_empty():
    assert compare_all(make_arm("base", [[True] * 12]), []) == []


def test_numbers_that_give_no_interval_are_refused():
    a, b = _arm_with_gains([9.0])
    with pytest.raises(ValueError, match="10 resamples"):
        compare(a, b, resamples=10)
    with pytest.raises(ValueError, match="confidence 95"):
        compare(a, b, confidence=95.0)


def test_the_file_holds_every_figure(tmp_path: Path):
    result = compare(*_arm_with_gains([9.0, 11.0]), resamples=200)
    write_comparisons(tmp_path / "new" / "comparison.json", [result], about={"evaluation": "nlvr"})
    content = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert content["about"] == {"evaluation": "nlvr"}
    (one,) = content["comparisons"]
    assert (one["baseline"], one["arm"]) == ("base", "asvr")
    assert one["average"]["verdict"] == result.average.verdict
    assert one["average"]["smallest_detectable"] == result.average.smallest_detectable
    assert (one["leave_one_out"], one["secondary"], one["robustness"]) == ({}, {}, "")
    assert one["categories"]["kind 0"]["seed_differences"] == {"seed-0": 9.0, "seed-1": 11.0}
