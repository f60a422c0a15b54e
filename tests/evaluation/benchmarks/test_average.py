import math

import pytest

from asvr.evaluation.average import average, average_readings
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.reports.published import BENCHMARKS as COLUMNS
from asvr.reports.published import PUBLISHED, PublishedRow

from .golden import cases, needs_metrics

SLIPS = {(10, "DINOv3"): 55.657}
"""Printed rows whose average is not that of their columns, and what it is: the paper prints 55.6."""

ROWS = [(table, row) for table, rows in PUBLISHED.items() for row in rows]


def test_benchmarks_come_in_the_order_of_the_paper_s_columns() -> None:
    assert tuple(benchmark.column for benchmark in BENCHMARKS.values()) == COLUMNS


def test_every_printed_row_is_there() -> None:
    # Tables 1, 2, 3, 4, 8, 9 and 10; four of the thirty repeat a row of another table.
    assert [len(rows) for rows in PUBLISHED.values()] == [6, 8, 2, 3, 3, 4, 4]
    assert len({row.scores for _, row in ROWS}) == 26


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[f"{table}-{row.label}" for table, row in ROWS])
def test_the_printed_columns_give_the_printed_average(table: int, row: PublishedRow) -> None:
    mean = average(dict(zip(BENCHMARKS, row.scores, strict=True)))
    if (table, row.label) in SLIPS:
        assert mean == pytest.approx(SLIPS[table, row.label], abs=5e-4)
        assert row.average == 55.6
    else:
        assert abs(mean - row.average) <= 0.05 + 1e-9


@needs_metrics
def test_the_recorded_rows_give_the_recorded_average() -> None:
    recorded = list(cases("suite_average"))
    assert len(recorded) == 10
    for case in recorded:
        mean = average(case["item"]["scores"])
        assert mean == pytest.approx(case["expected"]["avg"], abs=1e-6)
        assert round(mean, 1) == case["expected"]["avg_one_decimal"]


@pytest.mark.parametrize("score", [None, math.nan])
def test_a_missing_score_is_named_and_not_left_out(score: float | None) -> None:
    scores = dict.fromkeys(BENCHMARKS, 50.0) | {"gqa": score}
    with pytest.raises(ValueError, match="needs a score of each, but 1 have none: gqa"):
        average(scores)
    del scores["gqa"]
    with pytest.raises(ValueError, match="but 1 have none: gqa"):
        average(scores)
    assert average(scores, names=["pope", "mme"]) == 50


@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_both_readings_of_mme_are_averaged(preset: str) -> None:
    metrics = {name: {benchmark.protocols[preset].headline: 50.0} for name, benchmark in BENCHMARKS.items()}
    metrics["mme"] = {"total/28": 64.0, "perception/20": 78.0}
    assert average_readings(metrics, preset=preset) == {"total/28": 51.0, "perception/20": 52.0}
    with pytest.raises(ValueError, match="1 have none: mme"):
        average_readings({**metrics, "mme": {"total/28": 64.0}}, preset=preset)
