import math

import numpy as np
import pytest

from asvr.evaluation.statistics import bootstrap_p, draw_groups, holm, percentile_interval, t_interval, t_quantile


# From the usual printed table of Student's t (two-sided 95 % and 99 %).
@pytest.mark.parametrize(
    ("probability", "degrees", "printed"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 7, 2.365),
        (0.975, 30, 2.042),
        (0.995, 2, 9.925),
        (0.995, 5, 4.032),
    ],
)
def test_quantiles_are_those_of_the_printed_table(probability: float, degrees: int, printed: float):
    assert t_quantile(probability, degrees=degrees) == pytest.approx(printed, abs=6e-4)


def test_with_one_degree_of_freedom_the_quantile_is_cauchys():
    for probability in (0.5, 0.6, 0.9, 0.999):
        assert t_quantile(probability, degrees=1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), abs=1e-9)


def test_a_t_interval_by_hand():
    # Mean 2, standard deviation 1, so the error is 1 / sqrt(3), times 4.3027.
    low, high = t_interval([1.0, 2.0, 3.0], confidence=0.95)
    assert (low + high) / 2 == pytest.approx(2)
    assert (high - low) / 2 == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1: 0.03, 0.06 and 0.04, raised to 0.06.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def _draws(multiplicities: list[int], resamples: int, *, seed: int = 0, at_once: int = 1000) -> np.ndarray:
    return np.concatenate(list(draw_groups(np.array(multiplicities), resamples, seed=seed, at_once=at_once)))


def test_a_draw_has_as_many_groups_as_there_are():
    assert np.array_equal(_draws([4, 1, 5], 50).sum(1), [10.0] * 50)
    assert np.array_equal(_draws([3], 5), [[3.0]] * 5)


def test_equal_groups_in_one_row_are_drawn_as_often_as_any_of_them_one_by_one():
    # Drawing 5 of 5 groups, of which 2 are in the row, is binomial: 5 tries of 2 / 5.
    drawn = np.bincount(_draws([2, 3], 20_000)[:, 0].astype(int), minlength=6) / 20_000
    expected = np.array([math.comb(5, k) * 0.4**k * 0.6 ** (5 - k) for k in range(6)])
    assert np.all(np.abs(drawn - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000))


def test_resamples_spread_as_the_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=400)
    resampled = _draws([1] * 400, 4000) @ values / 400
    # A bootstrap of a mean has the deviation std / sqrt(n); 4000 draws estimate it to 1 / sqrt(8000), about 1.1 %.
    assert resampled.std() == pytest.approx(values.std() / 20, rel=0.04)
    assert resampled.mean() == pytest.approx(values.mean(), abs=4 * values.std() / 20 / math.sqrt(4000))


def test_equal_seeds_draw_equally_however_many_at_once_and_others_do_not():
    first, again, other = (_draws([1] * 20, 150, seed=seed, at_once=n) for seed, n in ((1, 150), (1, 7), (2, 150)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_resample_that_counts_nothing_is_left_out():
    resampled = np.array([1.0] * 150 + [math.nan] * 50)
    assert percentile_interval(resampled, confidence=0.95) == (1.0, 1.0)
    assert bootstrap_p(resampled) == pytest.approx(2 / 151)


@pytest.mark.parametrize("num_false", [0, 7])
def test_holm_keeps_the_share_of_tables_with_a_false_alarm(num_false: int):
    # 14 tests, of which some have a true difference and a tiny p; the p of the others is uniform.
    generator = np.random.default_rng(0)
    p_values = generator.random((3000, 14))
    p_values[:, :num_false] *= 1e-9
    alarms = np.mean([min(holm(row.tolist())[num_false:]) < 0.05 for row in p_values])
    # The true ones are compared with 0.05 / k, k being how many they are; 3000 tables have a deviation of 0.4 %.
    k = 14 - num_false
    assert alarms == pytest.approx(1 - (1 - 0.05 / k) ** k, abs=3 * math.sqrt(0.05 * 0.95 / 3000))


def test_no_difference_at_all_has_p_one():
    assert bootstrap_p(np.zeros(100)) == 1.0
