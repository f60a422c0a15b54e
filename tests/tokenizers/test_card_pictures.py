import numpy as np
import pytest
import torch
from PIL import Image

from asvr.tokenizers.card_pictures import evenly
from asvr.tokenizers.code_pictures import BACKGROUND, PATCH_SIDE, code_colours, code_map, strip
from asvr.tokenizers.nearest_patches import NearestPatches


def test_the_nearest_patches_are_those_of_a_search_over_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(5, (12, 9), generator=generator)
    # Code 4 is given to two patches alone.
    codes[codes == 4] = 0
    codes[3, 2] = codes[7, 8] = 4
    distances = torch.rand(12, 9, generator=generator)
    nearest = NearestPatches(1, 5, keep=3, device=torch.device("cpu"))
    for start, end in ((0, 5), (5, 6), (6, 12)):
        nearest.add(0, list(range(start, end)), codes[start:end], distances[start:end])
    for code in range(5):
        best: dict[int, tuple[float, int, int]] = {}
        for picture, position in (codes == code).nonzero().tolist():
            found = (float(distances[picture, position]), picture, position)
            best[picture] = min(best.get(picture, found), found)
        wanted = [(picture, position, distance) for distance, picture, position in sorted(best.values())[:3]]
        assert nearest.of(0, code) == wanted
    assert [picture for picture, _, _ in nearest.of(0, 4)] in ([3, 7], [7, 3])


def test_similar_codes_have_similar_colours() -> None:
    line = torch.arange(40.0)[:, None] * torch.tensor([[3.0, 0.1, -0.2, 0.5]])
    book = torch.cat([line, torch.full((1, 4), 1e4)])
    colours = code_colours(book, torch.tensor([1] * 40 + [0])).astype(int)
    red = colours[:40, 0]
    # One component, rising; a code that is never used does not squeeze the others' colours together.
    assert (np.diff(red) >= 0).all() and red[0] == 30 and red[39] == 240
    assert np.diff(red).max() < 12


def test_codebooks_narrower_than_three_have_colours_too() -> None:
    colours = code_colours(torch.tensor([[0.0], [1.0], [2.0]]), torch.ones(3, dtype=torch.long))
    assert colours[:, 0].tolist() == [30, 135, 240] and len(set(colours[:, 1].tolist())) == 1


def test_a_map_has_the_colour_of_each_code_at_its_place() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    drawn = np.array(code_map(torch.tensor([0, 1, 2, 2, 1, 0]), (2, 3), colours))
    height, width = drawn.shape[0] // 2, drawn.shape[1] // 3
    places = drawn[height // 2 :: height, width // 2 :: width]
    assert places.tolist() == colours[[[0, 1, 2], [2, 1, 0]]].tolist()


def test_a_strip_shows_the_patch_among_its_neighbours() -> None:
    shades = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    picture = Image.fromarray(np.kron(np.stack([shades] * 3, axis=2), np.ones((10, 10, 1), dtype=np.uint8)))
    drawn = np.array(strip([picture, picture], [6, 0], (3, 4), places=3))
    centre, side = PATCH_SIDE + PATCH_SIDE // 2, 3 * PATCH_SIDE
    second = centre + side + 4
    assert drawn.shape == (side, 3 * side + 8, 4)
    # Position 6 is row 1, column 2; its left neighbour is 5, the one below 10.
    around = [drawn[centre, centre, 0], drawn[centre, centre - PATCH_SIDE, 0], drawn[centre + PATCH_SIDE, centre, 0]]
    assert [int(shade) for shade in around] == pytest.approx([120, 100, 200], abs=2)
    assert drawn[centre, second, 0] <= 2
    # Nothing is above the first row, and there is no third patch.
    assert tuple(drawn[centre - PATCH_SIDE, second, :3]) == BACKGROUND
    assert drawn[:, 2 * side + 8 :, 3].max() == 0


def test_choices_are_spread_evenly() -> None:
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(10, 4) == [0, 3, 6, 9]
    assert evenly(1001, 3) == [0, 500, 1000]
