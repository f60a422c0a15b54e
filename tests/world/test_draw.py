import numpy as np
import pytest

from asvr.world.draw import draw
from asvr.world.scene import COLOURS, SHAPES, Scene, Thing, sample_scene


def test_a_picture_is_decided_by_scene_and_seed() -> None:
    scene = sample_scene("train", 0, seed=0)
    assert draw(scene, seed=1).tobytes() == draw(scene, seed=1).tobytes()
    assert draw(scene, seed=1).tobytes() != draw(scene, seed=2).tobytes()


def test_a_larger_picture_shows_the_same_in_more_detail() -> None:
    scene = sample_scene("train", 0, seed=0)
    small = np.asarray(draw(scene, seed=1), dtype=float)
    large = np.asarray(draw(scene, seed=1, size=288).reduce(4), dtype=float)
    # 288 is four times 72; only the rounding of letters to whole font sizes differs.
    assert np.abs(small - large).mean() < 3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_thing_paints_its_own_cell_only(shape: str) -> None:
    bare = np.asarray(draw(Scene(()), seed=1), dtype=int)
    for colour in COLOURS:
        picture = np.asarray(draw(Scene((Thing(shape, colour, "large", "T", 4),)), seed=1), dtype=int)
        # A shadow darkens by less than this; paint differs from every background by more.
        rows, columns = np.nonzero(np.abs(picture - bare).max(-1) > 90)
        assert 0.2 * 24**2 < len(rows) < 24**2
        # The middle cell is 24 to 47; a star's or a heart's tip may lie a pixel or two outside.
        assert min(rows.min(), columns.min()) >= 22
        assert max(rows.max(), columns.max()) <= 49
