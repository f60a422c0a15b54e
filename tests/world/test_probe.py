import pytest
import torch
from torch.nn import functional as F

from asvr.world.probe import cell_vectors, make_probe_set, probe, probe_attributes
from asvr.world.scene import COLOURS, sample_scene


def test_what_is_linear_in_the_features_is_read_and_what_is_absent_is_not() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 8, (2000,))
    features = F.one_hot(labels, 8).float() @ torch.randn(8, 32) + 0.1 * torch.randn(2000, 32)
    assert probe(features, labels, seed=0) == 1.0
    # Chance is 1/8; four standard deviations over 500 held-out objects are 0.06.
    assert abs(probe(torch.randn(2000, 32), labels, seed=0) - 1 / 8) < 0.06


def test_cells_are_cut_out_of_the_raster() -> None:
    probe_set = make_probe_set(3, seed=0)
    # Each position holds the number of its cell of three by three, in a grid of six by six.
    grid = torch.arange(9.0).view(3, 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
    vectors = cell_vectors(grid.reshape(1, 36, 1).expand(3, -1, -1), probe_set)
    assert torch.equal(vectors, probe_set.cell[:, None].expand(-1, 4).float())


def test_patches_of_a_cell_keep_their_raster_order() -> None:
    probe_set = make_probe_set(1, seed=0)
    vectors = cell_vectors(torch.arange(36.0).view(1, 36, 1), probe_set)
    row, column = int(probe_set.cell[0]) // 3, int(probe_set.cell[0]) % 3
    first = 12 * row + 2 * column
    assert vectors[0].tolist() == [first, first + 1, first + 6, first + 7]


def test_a_probe_set_says_what_is_in_its_pictures() -> None:
    probe_set = make_probe_set(20, seed=0)
    things = [(index, thing) for index in range(20) for thing in sample_scene("unlabelled", index, seed=0).things]
    assert probe_set.picture.tolist() == [index for index, _ in things]
    assert probe_set.cell.tolist() == [thing.cell for _, thing in things]
    assert probe_set.labels["colour"].tolist() == [COLOURS.index(thing.colour) for _, thing in things]


def test_pixels_say_colour_but_not_letters() -> None:
    probe_set = make_probe_set(400, seed=0)
    small = [picture.resize((6, 6)).tobytes() for picture in probe_set.pictures]
    features = torch.stack([torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in small])
    accuracy = probe_attributes(features.view(400, 36, 3).float(), probe_set)
    assert accuracy["colour"] > 0.8
    # Chance is 1/8.
    assert accuracy["character"] < 0.35


def test_a_grid_that_has_no_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="35 positions"):
        cell_vectors(torch.zeros(1, 35, 2), make_probe_set(1, seed=0))
