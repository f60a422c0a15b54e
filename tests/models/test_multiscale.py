"""Features of several scales side by side: against a loop in fp64, Pillow's resizing, and the stock tower itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, PretrainedConfig, SiglipVisionConfig

from asvr.models.inner_tower import patch_features
from asvr.models.multiscale import MultiScaleTower, MultiScaleTowerConfig, resize
from asvr.models.vision import inner_tower, load_input_config, load_input_processor, load_input_tower
from asvr.models.visual_input import MultiScaleInput
from asvr.targets.checkpoints import load_tower, load_tower_processor
from asvr.targets.own_tower import OwnTowerCodes
from asvr.targets.squaring import squared
from asvr.targets.tokenizer import VisualTokenizer
from asvr.world.draw import draw
from asvr.world.scene import sample_scene
from tests.parts import IMAGE_SIZE, pictures

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


def tower(scales: tuple[int, ...], inner: PretrainedConfig | None = None) -> MultiScaleTower:
    torch.manual_seed(0)
    inner = inner or SiglipVisionConfig(**SIZE, image_size=24, patch_size=8)
    return MultiScaleTower(MultiScaleTowerConfig(tower_config=inner, scales=scales)).eval()


def reference(made: MultiScaleTower, pixels: Tensor, leading: int) -> Tensor:
    """S2 for one picture: every square alone through the stock tower, every average alone."""
    side, rows = made.config.tower_config.image_size, 3
    scales = []
    for scale in made.config.scales:
        canvas, picture = torch.zeros(scale * rows, scale * rows, 32).double(), resize(pixels, scale * side)
        for top in range(scale):
            for left in range(scale):
                square = picture[:, :, top * side : (top + 1) * side, left * side : (left + 1) * side]
                features = made.tower(square, output_hidden_states=True).hidden_states[-2][0, leading:]
                for place, feature in enumerate(features):
                    canvas[top * rows + place // rows, left * rows + place % rows] = feature
        blocks = [canvas[r * scale : (r + 1) * scale, c * scale : (c + 1) * scale] for r in range(3) for c in range(3)]
        scales.append(torch.stack([block.mean((0, 1)) for block in blocks]))
    return torch.cat(scales, dim=1)


@pytest.mark.parametrize(
    ("inner", "leading"),
    [
        (SiglipVisionConfig(**SIZE, image_size=24, patch_size=8), 0),
        # What the patches leave over is not seen, in no square.
        (SiglipVisionConfig(**SIZE, image_size=26, patch_size=8), 0),
        (CLIPVisionConfig(**SIZE, image_size=24, patch_size=8), 1),
    ],
)
def test_squares_are_put_together_as_by_a_loop_in_fp64(inner: PretrainedConfig, leading: int) -> None:
    made = tower((1, 2, 3), inner).double()
    pixels = torch.randn(2, 3, *(made.config.image_size,) * 2, generator=torch.Generator().manual_seed(1)).double()
    features = made(pixels).hidden_states[-1]
    assert features.shape == (2, 9, made.config.hidden_size) == (2, 9, 96)
    for picture, ours in zip(pixels, features, strict=True):
        torch.testing.assert_close(ours, reference(made, picture[None], leading), rtol=1e-12, atol=1e-12)


def test_one_scale_is_the_stock_tower() -> None:
    made = tower((1,))
    pixels = torch.randn(2, 3, 24, 24)
    assert torch.equal(made(pixels).hidden_states[-1], made.tower(pixels, output_hidden_states=True).hidden_states[-2])


def test_scales_are_made_as_pillow_makes_them() -> None:
    values = np.random.default_rng(0).normal(size=(72, 72)).astype(np.float32)
    ours = resize(torch.from_numpy(values).expand(1, 3, -1, -1), 24)[0, 0]
    theirs = np.asarray(Image.fromarray(values).resize((24, 24), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_antialiasing_keeps_the_whole_picture_what_it_is() -> None:
    processor, stock = load_tower_processor("embedded:tower"), load_tower("embedded:tower")
    drawn = [draw(sample_scene("train", index, seed=1), seed=index, size=288) for index in range(8)]
    own, large = (squared(processor, side)(images=drawn, return_tensors="pt")["pixel_values"] for side in (72, 216))
    aliased = F.interpolate(large, size=(72, 72), mode="bicubic")
    expected, ours, theirs = (patch_features(stock, pixels, -2) for pixels in (own, resize(large, 72), aliased))
    # Measured over 100 pictures: features are off by 0.95 % of their norm, without antialiasing by 7.8 %.
    assert (ours - expected).norm() < 0.02 * expected.norm()
    assert (theirs - expected).norm() > 0.04 * expected.norm()


def test_the_paper_s_tower_gives_729_tokens_of_three_widths() -> None:
    so400m = SiglipVisionConfig(hidden_size=1152, num_attention_heads=16, image_size=384, patch_size=14)
    config = MultiScaleTowerConfig(tower_config=so400m)
    assert (config.image_size, config.patch_size, config.hidden_size) == (1152, 42, 3456)
    assert config.image_size // config.patch_size == 27


def test_gradients_reach_a_tower_that_trains() -> None:
    made = tower((1, 2))
    made(torch.randn(1, 3, 48, 48)).hidden_states[-1].sum().backward()
    # What lies behind the layer that is read: the last block, the last norm and the pooling head.
    behind = ("tower.encoder.layers.2.", "tower.post_layernorm.", "tower.head.")
    assert {name for name, p in made.named_parameters() if p.grad is None} == {
        name for name, _ in made.named_parameters() if name.startswith(behind)
    }


def test_a_hook_on_the_stock_tower_is_left_with_the_whole_picture(parts: Path) -> None:
    made = load_input_tower(str(parts / "tower"), MultiScaleInput(scales=(1, 2)))
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    codes = OwnTowerCodes(VisualTokenizer.from_pretrained(parts / "tokenizer"), inner_tower(made))
    processor = load_input_processor(str(parts / "tower"), MultiScaleInput(scales=(1, 2)))
    pixels = processor(images=pictures(4), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (4, 3, 2 * IMAGE_SIZE, 2 * IMAGE_SIZE)
    made(pixels)
    assert torch.equal(codes.encode(torch.empty(4, 0)), tokenizer.encode(resize(pixels, IMAGE_SIZE)))


def test_the_stock_tower_keeps_its_weights(parts: Path) -> None:
    made, stock = load_input_tower(str(parts / "tower"), MultiScaleInput()), load_tower(str(parts / "tower"))
    assert made.config.to_dict() == load_input_config(str(parts / "tower"), MultiScaleInput()).to_dict()
    weights = inner_tower(made).state_dict()
    assert weights.keys() == stock.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in stock.state_dict().items())


@pytest.mark.parametrize("scales", [(), (2, 3), (1, 3, 2), (1, 2, 2)])
def test_scales_that_are_none_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"model.visual_input.scales is .* beginning with 1, such as the paper's"):
        MultiScaleInput(scales=scales)
