import math

import numpy as np
import pytest

from asvr.evaluation.statistics import bootstrap, bootstrap_p, holm, percentile_interval, t_interval, t_quantile


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


def test_a_resample_of_one_group_is_that_group():
    gains, counts = np.array([[3.0, 1.0]]), np.array([[4.0, 2.0]])
    assert np.array_equal(bootstrap(gains, counts, resamples=5, seed=0), [[0.75, 0.5]] * 5)


def test_resamples_spread_as_the_error_of_a_mean():
    gains = np.random.default_rng(0).normal(size=(400, 1))
    resampled = bootstrap(gains, np.ones_like(gains), resamples=4000, seed=0)
    # A bootstrap of a mean has the deviation std / sqrt(n); 4000 draws estimate it to 1 / sqrt(8000), about 1.1 %.
    assert resampled.std() == pytest.approx(gains.std() / 20, rel=0.04)
    assert resampled.mean() == pytest.approx(gains.mean(), abs=4 * gains.std() / 20 / math.sqrt(4000))


def test_a_resample_without_a_category_is_left_out():
    gains = np.array([[1.0], [0.0]])
    resampled = bootstrap(gains, gains, resamples=200, seed=0)[:, 0]
    # Both draws are the second group in a quarter of the resamples.
    assert 20 < np.isnan(resampled).sum() < 80
    assert percentile_interval(resampled, confidence=0.95) == (1.0, 1.0)
    kept = 200 - np.isnan(resampled).sum()
    assert bootstrap_p(resampled) == pytest.approx(2 / (kept + 1))


def test_equal_seeds_draw_equally_and_others_do_not():
    gains = np.arange(20.0)[:, None]
    first, again, other = (bootstrap(gains, np.ones_like(gains), resamples=1500, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_difference_at_all_has_p_one():
    assert bootstrap_p(np.zeros(100)) == 1.0
