from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForDepthEstimation,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from asvr.targets.sources import TowerSpec
from asvr.targets.towers import Layers, TowerFeatures, fingerprint
from tests.parts import pictures
from tests.targets.checkpoints import FIXED, SEEN, write_checkpoint

NOT_PATCHES = {"siglip": 0, "clip": 1, "dinov2": 1, "dinov2-registers": 1 + 3, "dinov3": 1 + 4, "depth-anything": 1}
"""A class token, and the registers of the checkpoint."""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: write_checkpoint(kind, folder / kind) for kind in FIXED}


def states(kind: str, folder: Path, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Hidden states of the whole checkpoint, as its own stock class gives them."""
    if kind == "depth-anything":
        whole = AutoModelForDepthEstimation.from_pretrained(folder)
    else:
        whole = AutoModel.from_pretrained(folder)
    asked = {"interpolate_pos_encoding": True} if kind in ("siglip", "clip") else {}
    tower = whole.vision_model if kind in ("siglip", "clip") else whole
    return tower.eval()(pixels, output_hidden_states=True, **asked).hidden_states


@torch.no_grad()
@pytest.mark.parametrize("size", [24, 40])
@pytest.mark.parametrize("kind", FIXED)
def test_patches_of_the_chosen_layers_and_nothing_else(kind: str, size: int, checkpoints: dict[str, Path]) -> None:
    features = TowerSpec(str(checkpoints[kind]), image_size=size).build()
    assert features.grid == (size // 8, size // 8) and features.dim == 16
    pixels = torch.stack([features.prepare(picture) for picture in pictures(2)])
    expected = states(kind, checkpoints[kind], pixels)
    dropped = NOT_PATCHES[kind]
    # The embeddings and three layers; the patches are of a square picture's every row.
    assert len(expected) == 4 and expected[0].shape[1] == dropped + (size // 8) ** 2
    assert torch.equal(features(pixels), expected[2][:, dropped:])
    both = TowerFeatures(features.tower, features.processor, (0, -1))
    assert both.dim == 32 and both.describe()["layer"] == [0, -1]
    assert torch.equal(both(pixels), torch.cat([expected[0], expected[3]], dim=2)[:, dropped:])


@torch.no_grad()
@pytest.mark.parametrize("kind", FIXED)
def test_a_picture_has_the_same_features_in_every_batch(kind: str, checkpoints: dict[str, Path]) -> None:
    features = TowerSpec(str(checkpoints[kind]), image_size=24).build()
    pixels = torch.stack([features.prepare(picture) for picture in pictures(3)])
    one_by_one = torch.cat([features(picture.unsqueeze(0)) for picture in pixels])
    torch.testing.assert_close(features(pixels), one_by_one, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("kind", FIXED)
@pytest.mark.parametrize("layer", [-2, (1, -1)])
def test_saved_and_loaded(kind: str, layer: Layers, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    ours = TowerSpec(str(checkpoints[kind]), layer, image_size=24).build()
    ours.save(tmp_path)
    again = TowerFeatures.load(tmp_path, ours.describe())
    assert again.layer == layer and again.describe() == ours.describe()
    picture = pictures(1)[0]
    assert torch.equal(again.prepare(picture), ours.prepare(picture))
    assert torch.equal(again(again.prepare(picture)[None]), ours(ours.prepare(picture)[None]))


@pytest.mark.parametrize("layer", [4, -5, (-2, 4)])
def test_a_layer_that_is_not_there_is_refused(layer: Layers, checkpoints: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"layer (4|-5) of a vision tower with 4 hidden states: choose -2"):
        TowerSpec(str(checkpoints["siglip"]), layer).build()


def test_no_layer_is_refused(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="no layer of the vision tower was chosen: choose -2"):
        TowerSpec(str(checkpoints["siglip"]), ()).build()


def test_a_tower_whose_tokens_are_not_known_is_refused() -> None:
    tower = ViTModel(ViTConfig(**SEEN, intermediate_size=32), add_pooling_layer=False)
    with pytest.raises(ValueError, match=r"tokens of a 'vit' vision tower .* add the class of its configuration to"):
        TowerFeatures(tower, ViTImageProcessorPil(size={"height": 24, "width": 24}))


def test_a_processor_that_keeps_the_aspect_ratio_is_refused(checkpoints: dict[str, Path]) -> None:
    # A picture of 96x64, its shorter side made 24: 24x36, which the nearest multiples of 8 make 24x32 (half to even).
    with pytest.raises(ValueError, match=r"24x24 pixels of a square picture, 24x32 of a wider.* give an `image_size`"):
        TowerSpec(str(checkpoints["depth-anything"])).build()


def test_pixels_of_another_size_are_refused() -> None:
    tower = SiglipVisionModel(SiglipVisionConfig(**SEEN, intermediate_size=32))
    features = TowerFeatures(tower, SiglipImageProcessorPil(size={"height": 24, "width": 24}))
    with pytest.raises(ValueError, match=r"24x32 pixels give 12 patches, not the 3x3 of the image processor"):
        features(torch.zeros(1, 3, 24, 32))


def test_a_fingerprint_is_of_the_weights_not_of_their_names() -> None:
    torch.manual_seed(0)
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert fingerprint(one) != fingerprint(other)
    renamed = torch.nn.ModuleDict({"layer": one})
    assert fingerprint(renamed) == fingerprint(one)
    transposed = torch.nn.Linear(2, 3, bias=False)
    transposed.weight = torch.nn.Parameter(one.weight.reshape(3, 2))
    assert fingerprint(transposed) != fingerprint(torch.nn.ParameterList([one.weight]))
