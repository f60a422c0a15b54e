import numpy as np
import pytest

from asvr.evaluation.benchmark import Mark, percent
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.benchmarks.mme import MME
from asvr.evaluation.figures import Figure, average, difference_of, in_percent, resample
from asvr.evaluation.statistics import percentile_interval
from asvr.evaluation.sums import add_up
from asvr.evaluation.tally import Tally, tally

METRICS = {"accuracy": percent("accuracy"), "F1": percent("F1")}


def _f1_tally(generator: np.random.Generator, *, num_groups: int, num_seeds: int) -> Tally:
    """Two questions per picture: how many are right, and the parts of F1, all of them random."""
    values = generator.integers(0, 3, (2, num_seeds, num_groups, 2)).astype(float)
    counts = values + generator.integers(0, 2, values.shape)
    counts[..., 0] = 2
    return Tally([f"seed-{seed}" for seed in range(num_seeds)], ["accuracy", "F1"], values, counts)


def _resample(counted: Tally, resamples: int) -> dict[str, Figure]:
    return resample(counted, METRICS, num_questions=dict.fromkeys(METRICS, 9), resamples=resamples, seed=0)


def test_figures_are_those_of_drawing_pictures_one_by_one():
    generator = np.random.default_rng(0)
    counted = _f1_tally(generator, num_groups=60, num_seeds=3)
    figures = _resample(counted, 4000)
    plain = []
    for _ in range(4000):
        rows = generator.integers(0, 60, 60)
        ratios = counted.values[:, :, rows].sum(2) / counted.counts[:, :, rows].sum(2)
        plain.append(100 * (ratios[1] - ratios[0]).mean(0))
    for column, figure in enumerate(figures.values()):
        expected = np.array(plain)[:, column]
        # An end of a 95 % interval is estimated to 0.042 deviations by 4000 draws, the difference of two to 0.06.
        low, high = percentile_interval(figure.resampled, confidence=0.95)
        ends = np.quantile(expected, [0.025, 0.975])
        assert [low, high] == pytest.approx(ends.tolist(), abs=4 * 0.06 * expected.std())
        assert figure.resampled.std() == pytest.approx(expected.std(), rel=0.08)


def test_values_are_averaged_after_the_metric_not_before():
    counted = _f1_tally(np.random.default_rng(1), num_groups=20, num_seeds=2)
    figure = _resample(counted, 100)["F1"]
    by_hand = 100 * counted.values[..., 1].sum(2) / counted.counts[..., 1].sum(2)
    assert list(figure.baseline.values()) == pytest.approx(by_hand[0])
    assert list(figure.accuracy.values()) == pytest.approx(by_hand[1])


def test_a_figure_rests_on_the_groups_of_its_own_ratios():
    counted = _f1_tally(np.random.default_rng(1), num_groups=20, num_seeds=1)
    counted.counts[..., 8:, 1] = 0
    counted.values[..., 8:, 1] = 0
    figures = _resample(counted, 100)
    assert (figures["accuracy"].num_groups, figures["F1"].num_groups) == (20, 8 - _empty(counted))
    assert difference_of(figures["F1"], confidence=0.95).question_interval == (-100, 100)


def _empty(counted: Tally) -> int:
    return int((counted.counts[..., :8, 1] == 0).all((0, 1)).sum())


def test_a_ratio_that_one_run_never_counted_is_not_known():
    marks = [Mark("accuracy", str(group), 1.0) for group in range(12)]
    counted = tally({"single": add_up(marks)}, {"single": add_up([*marks, Mark("F1", "3", 1.0)])})
    figure = _resample(counted, 100)["F1"]
    assert np.isnan(figure.baseline["single"]) and figure.accuracy["single"] == 100


def test_an_average_of_separate_draws_has_the_error_of_a_mean():
    generator = np.random.default_rng(0)
    figures = [Figure({"s": 50.0}, {"s": 51.0}, generator.normal(1, 2, 20_000), 100, n) for n in (30, 20, 40, 50)]
    mean = average(figures)
    assert (mean.num_questions, mean.num_groups, mean.accuracy) == (400, 20, {"s": 51.0})
    # Four independent figures of deviation 2: the mean's is 1; 20,000 draws estimate it to 0.5 %.
    assert mean.resampled.std() == pytest.approx(1, rel=0.02)


def test_points_are_told_from_percent():
    scales = {name: in_percent(metric) for name, metric in MME.protocols["paper"].metrics.items()}
    assert [name for name, is_percent in scales.items() if not is_percent] == ["perception", "cognition", "total"]


def test_every_headline_is_in_percent():
    protocols = [protocol for benchmark in BENCHMARKS.values() for protocol in benchmark.protocols.values()]
    assert len(protocols) == 3 * 14
    assert all(in_percent(protocol.metrics[protocol.headline]) for protocol in protocols)
