import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from asvr.targets.features import PixelPatches
from asvr.targets.towers import TowerFeatures

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}


def square(side: int) -> SiglipImageProcessorPil:
    return SiglipImageProcessorPil(size={"height": side, "width": side})


def test_pixel_patches_are_cut_in_raster_order() -> None:
    pixels = torch.randn(2, 3, 6, 6)
    patches = PixelPatches(square(6), 2)
    found = patches(pixels)
    assert patches.grid == (3, 3) and found.shape == (2, 9, patches.dim) == (2, 9, 12)
    for row in range(3):
        for column in range(3):
            own = pixels[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(found[:, 3 * row + column], own.flatten(1))


def test_what_no_patch_holds_is_dropped() -> None:
    # SigLIP's 384 pixels and patches of 14: 27 a side, 6 pixels left over.
    patches = PixelPatches(square(384), 14)
    assert patches.grid == (27, 27)
    assert patches(torch.zeros(1, 3, 384, 384)).shape == (1, 729, 588)


@torch.no_grad()
def test_a_clip_tower_s_class_token_is_dropped() -> None:
    torch.manual_seed(0)
    tower = CLIPVisionModel(CLIPVisionConfig(image_size=8, patch_size=4, **SIZES)).eval()
    features = TowerFeatures(tower, square(8))
    pixels = torch.randn(2, 3, 8, 8)
    states = tower(pixels, output_hidden_states=True).hidden_states
    assert states[-2].shape[1] == 5 and features.grid == (2, 2)
    assert torch.equal(features(pixels), states[-2][:, 1:])


@torch.no_grad()
def test_a_siglip_tower_keeps_every_token_of_the_last_layer_but_one() -> None:
    torch.manual_seed(0)
    tower = SiglipVisionModel(SiglipVisionConfig(image_size=8, patch_size=4, **SIZES)).eval()
    pixels = torch.randn(2, 3, 8, 8)
    states = tower(pixels, output_hidden_states=True).hidden_states
    # The embeddings and three layers.
    assert len(states) == 4
    assert torch.equal(TowerFeatures(tower, square(8))(pixels), states[2])
    assert torch.equal(TowerFeatures(tower, square(8), 0)(pixels), states[0])
