import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from asvr.evaluation.comparison import Difference
from asvr.evaluation.score import correct
from asvr.reports.curves import run_curve, stage_curve
from asvr.reports.examples import differing, is_right, samples
from asvr.reports.method import recipe_differences
from asvr.reports.pictures import CELL, code_map, palette
from asvr.reports.results import Study, read_study
from asvr.reports.style import arm_colours, spread
from asvr.reports.summary import sign, wider_interval
from tests.reports.fake_study import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return read_study(make_study(tmp_path_factory.mktemp("study") / "demo", num_seeds=2))


@given(st.text(alphabet="aA. \n<é", max_size=5), st.text(alphabet="aA. \n<é", max_size=5))
def test_right_is_what_the_scores_call_right(answer: str, reference: str) -> None:
    assert is_right(answer, reference) == correct(answer, reference)


def test_wider_interval_is_the_evaluations() -> None:
    difference = Difference(60.0, 62.0, 2.0, (1.0, 3.0), {"seed-0": 2.0}, 1.0, (-1.0, 5.0), 0.01, 0.02, 100, 50)
    assert tuple(wider_interval(vars(difference))) == difference.wider_interval


@pytest.mark.parametrize(
    ("difference", "questions", "seeds", "p", "expected"),
    [
        (2, [1, 3], [0.5, 3.5], 0.01, 1),
        (-2, [-3, -1], None, 0.01, -1),
        (2, [1, 3], [-0.5, 4.5], 0.01, 0),
        (2, [1, 3], [0.5, 3.5], 0.06, 0),
    ],
)
def test_only_what_every_test_agrees_on_is_marked(difference, questions, seeds, p, expected) -> None:
    item = {"difference": difference, "question_interval": questions, "seed_interval": seeds, "adjusted_p": p}
    assert sign(item) == expected


def test_samples_show_no_picture_twice_and_no_kind_twice_while_others_wait(study: Study) -> None:
    chosen = samples(study)
    assert len(chosen) == len({example.images for example in chosen}) == len({example.kind for example in chosen}) == 6
    assert all([given.arm for given in example.answers] == [arm.name for arm in study.arms] for example in chosen)


def test_differing_counts_every_question_once_and_shows_both_sides(study: Study) -> None:
    found = differing(study)
    assert found is not None and found.arm == "asvr"
    assert sum(found.counts) == len(study.baseline.runs[0].answers)
    for shown, pattern in ((found.only_arm, (False, True)), (found.only_baseline, (True, False))):
        assert len(shown) == 6
        assert all(tuple(given.right for given in example.answers) == pattern for example in shown)


def test_curve_is_the_mean_over_seeds_between_smallest_and_largest(study: Study) -> None:
    arm = study.arms[1]
    curve = stage_curve(arm, "instruct", "loss_text")
    logged = [[line["loss_text"] for line in run.stages[1].metrics if "loss_text" in line] for run in arm.runs]
    np.testing.assert_allclose(curve.mean, [(a + b) / 2 for a, b in zip(*logged, strict=True)])
    np.testing.assert_allclose(curve.low, [min(pair) for pair in zip(*logged, strict=True)])
    np.testing.assert_allclose(curve.high, [max(pair) for pair in zip(*logged, strict=True)])


def test_steps_of_a_run_are_counted_on_from_stage_to_stage(study: Study) -> None:
    # 40 steps of pretrain, 120 of instruct, every fifth logged.
    assert run_curve(study.arms[1], "loss_text").steps.tolist() == list(range(5, 161, 5))


def test_equal_codes_have_equal_colours_and_wrong_ones_a_grey_rim() -> None:
    picture = _decode(code_map([3, 3, 1, 2], (2, 2), target=[3, 3, 1, 1]))
    colour = palette(4)
    assert (picture[:CELL, : 2 * CELL] == colour[3]).all()
    assert (picture[CELL:, :CELL] == colour[1]).all()
    assert (picture[CELL, CELL] == 236).all()
    assert (picture[CELL + CELL // 2, CELL + CELL // 2] == colour[2]).all()


def test_codes_of_a_demo_have_colours_of_their_own() -> None:
    assert len(np.unique(palette(128), axis=0)) == 128


def test_recipes_differ_in_what_was_changed_and_nothing_else(study: Study) -> None:
    rows = {(row.field, row.stages): row.values for row in recipe_differences(study)}
    assert rows["optimisation.epochs", "instruct"] == ("3.0", "3.0", "3.0", "4.5")
    assert rows["companions", "pretrain, instruct"] == ("0", "0", "1", "0")
    assert ("optimisation.batch_size", "pretrain, instruct") not in rows


def test_arms_are_told_apart_by_colour() -> None:
    colours = arm_colours(["a", "b", "c", "d", "e", "f", "g"])
    assert len(set(colours.values())) == 7


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_spread_keeps_order_and_gap(values: list[float]) -> None:
    moved = spread(values, gap=0.1)
    order = sorted(range(len(values)), key=lambda index: values[index])
    gaps = np.diff([moved[index] for index in order])
    assert (gaps >= 0.1 - 1e-3).all()


def test_baseline_that_is_no_arm_is_refused(tmp_path: Path) -> None:
    about = {"baseline": "other", "arms": [{"name": "text-only"}]}
    (tmp_path / "study.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="'other' is not one of the arms"):
        read_study(tmp_path)


def _decode(uri: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
