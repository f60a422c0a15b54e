from pathlib import Path

import pytest
import torch
from transformers import SiglipVisionModel

from asvr.targets.continuous import ContinuousTargets
from asvr.targets.features import PixelPatches
from asvr.targets.own_tower import OwnTowerCodes, OwnTowerFeatures, nothing
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from tests.parts import PATCH_SIZE, pictures


@pytest.fixture
def semantic(parts: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(parts / "tokenizer")


@pytest.fixture
def tower(parts: Path) -> SiglipVisionModel:
    return SiglipVisionModel.from_pretrained(parts / "tower").eval()


def prepared(tokenizer: VisualTokenizer, count: int = 3) -> torch.Tensor:
    return torch.stack([tokenizer.prepare(picture) for picture in pictures(count)])


@torch.no_grad()
@pytest.mark.parametrize("grid", [(2, 2), (3, 5)])
def test_codes_are_those_of_a_tower_of_its_own(
    grid: tuple[int, int], semantic: VisualTokenizer, tower: SiglipVisionModel
) -> None:
    whole = semantic.with_grid(grid)
    own = OwnTowerCodes(whole, tower)
    tower(prepared(semantic), output_hidden_states=True)
    codes = own.encode(torch.stack([nothing(picture) for picture in pictures(3)]))
    assert own.grid == grid and torch.equal(codes, whole.encode(prepared(semantic)))
    assert own.encode_none(torch.device("cpu")).shape == (0, 3)
    # The second tower is let go, with everything that leads to it.
    assert not list(own.parameters())


@torch.no_grad()
@pytest.mark.parametrize("grid", [None, (3, 5)])
def test_features_are_those_of_a_tower_of_its_own(
    grid: tuple[int, int] | None, parts: Path, tower: SiglipVisionModel
) -> None:
    whole = ContinuousTargets.from_pretrained(parts / "targets", grid=grid)
    own = OwnTowerFeatures(whole, tower)
    seen = torch.stack([whole.prepare(picture) for picture in pictures(3)])
    tower(seen, output_hidden_states=True)
    found = own.encode(torch.stack([own.prepare(picture) for picture in pictures(3)]))
    assert own.grid == whole.grid and own.channels == 32 and torch.equal(found, whole.encode(seen))
    assert own.encode_none(torch.device("cpu")).shape == (0, 32)
    assert not list(own.parameters())


def test_codes_of_images_that_the_model_has_not_just_seen_are_refused(
    semantic: VisualTokenizer, tower: SiglipVisionModel
) -> None:
    own = OwnTowerCodes(semantic, tower)
    with pytest.raises(ValueError, match=r"targets of 1 image\(s\) are asked for, but the model has just seen 0"):
        own.encode(torch.empty(1, 0))
    tower(prepared(semantic), output_hidden_states=True)
    with pytest.raises(ValueError, match="has just seen 3: run the model on the batch first"):
        own.encode(torch.empty(2, 0))
    with pytest.raises(ValueError, match="has just seen 0"):
        own.encode(torch.empty(3, 0))


def test_pixel_codes_are_no_tower_s(semantic: VisualTokenizer, tower: SiglipVisionModel) -> None:
    pixels = PixelPatches(semantic.features.processor, PATCH_SIZE)
    appearance = VisualTokenizer(pixels, ResidualQuantizer(torch.zeros(1, 4, pixels.dim)))
    with pytest.raises(ValueError, match="needs targets made of a vision tower's features, not of 'pixels'"):
        OwnTowerCodes(appearance, tower)
    with pytest.raises(ValueError, match="not of 'pixels': set own_tower=false"):
        OwnTowerFeatures(ContinuousTargets(pixels), tower)
