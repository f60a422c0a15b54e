"""Discrete input is what a visual tokenizer's codes stand for, to the last bit, and its misfits are refused."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import SiglipImageProcessorPil, SiglipVisionModel

from asvr.models.discrete_input import DiscreteTower, Quantisation, exact_weights
from asvr.models.from_tokenizer import check_same_tower
from asvr.models.vision import inner_tower, load_input_config, load_input_processor, load_input_tower
from asvr.models.visual_input import DiscreteInput
from asvr.targets.blocks import AttentionProjection, LinearProjection
from asvr.targets.features import PixelPatches
from asvr.targets.own_tower import OwnTowerCodes
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures, fingerprint
from tests.parts import pictures, write_tower

BLOCKS = {
    "none": (None, None, 32),
    "linear": (LinearProjection(32, 8), LinearProjection(8, 48), 8),
    "attention": (AttentionProjection(32, 8), AttentionProjection(8, 32, causal=True), 8),
}


def save(folder: Path, tower: Path, *, pre: nn.Module | None, post: nn.Module | None, width: int, **changes) -> Path:
    torch.manual_seed(0)
    processor = SiglipImageProcessorPil.from_pretrained(tower)
    features = TowerFeatures(SiglipVisionModel.from_pretrained(tower), processor, changes.pop("layer", -2))
    quantizer = ResidualQuantizer(torch.randn(changes.pop("books", 3), 16, width), 3)
    VisualTokenizer(features, quantizer, pre=pre, post=post, **changes).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("books", [1, 3])
def test_features_are_what_the_tokenizer_reconstructs(blocks: str, books: int, parts: Path, tmp_path: Path) -> None:
    pre, post, width = BLOCKS[blocks]
    folder = save(tmp_path / "tokenizer", parts / "tower", pre=pre, post=post, width=width, books=books)
    visual_input = DiscreteInput(tokenizer=str(folder))
    tower, tokenizer = load_input_tower(str(parts / "tower"), visual_input), VisualTokenizer.from_pretrained(folder)
    processor = load_input_processor(str(parts / "tower"), visual_input)
    pixels = processor(images=pictures(5), return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, torch.stack([tokenizer.prepare(picture) for picture in pictures(5)]))
    own = OwnTowerCodes(VisualTokenizer.from_pretrained(folder), inner_tower(tower))
    features, codes = tower(pixels).hidden_states[-1], tokenizer.encode(pixels)
    assert torch.equal(features, tokenizer.reconstruct(codes))
    assert torch.equal(own.encode(torch.empty(5, 0)), codes)
    assert features.shape[2] == tower.config.hidden_size == (48 if blocks == "linear" else 32)
    assert tower.config.to_dict() == load_input_config(str(parts / "tower"), visual_input).to_dict()
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    tower.save_pretrained(tmp_path / "saved")
    assert torch.equal(DiscreteTower.from_pretrained(tmp_path / "saved")(pixels).hidden_states[-1], features)


def test_codes_are_fp32_s_whatever_the_model_runs_in(parts: Path, tmp_path: Path) -> None:
    pre, post, width = BLOCKS["attention"]
    folder = save(tmp_path / "tokenizer", parts / "tower", pre=pre, post=post, width=width)
    tower = load_input_tower(str(parts / "tower"), DiscreteInput(tokenizer=str(folder)))
    tower.save_pretrained(tmp_path / "saved")
    half = DiscreteTower.from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
    exact = exact_weights(half)
    assert exact == {name for name in half.state_dict() if name.startswith("quantisation.")} and len(exact) > 20
    assert all((value.dtype == torch.float32) == (name in exact) for name, value in half.state_dict().items())
    features, quantisation = torch.randn(2, 4, 32), tower.get_submodule("quantisation")
    assert isinstance(quantisation, Quantisation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quantisation(features), quantisation.float()(features))
    assert torch.equal(half.quantisation(features), quantisation(features))
    assert torch.equal(half.quantisation(features.bfloat16()), quantisation(features.bfloat16().float()).bfloat16())


def refused(parts: Path, tokenizer: Path, match: str, *, layer: int = -2) -> None:
    for load in (load_input_tower, load_input_config):
        with pytest.raises(ValueError, match=match):
            load(str(parts / "tower"), DiscreteInput(tokenizer=str(tokenizer)), layer)


def test_a_tokenizer_of_something_else_is_refused(parts: Path, tmp_path: Path) -> None:
    plain = {"pre": None, "post": None, "width": 32}
    refused(parts, parts / "tokenizer", r"quantises layer -2, but model.feature_layer is -1: set it", layer=-1)
    both = {**plain, "width": 64}
    refused(parts, save(tmp_path / "both", parts / "tower", **both, layer=(-2, 1)), r"quantises layer \[-2, 1\], but")
    coarse = save(tmp_path / "coarse", parts / "tower", **plain, grid=(1, 1))
    refused(parts, coarse, r"have the grid \(1, 1\), but the vision tower gives \(2, 2\)")
    pixels = PixelPatches(SiglipImageProcessorPil.from_pretrained(parts / "tower"), 12)
    VisualTokenizer(pixels, ResidualQuantizer(torch.randn(2, 4, 432))).save_pretrained(tmp_path / "pixels")
    refused(parts, tmp_path / "pixels", r"quantises 'pixels', but discrete input .*`asvr tokenizer fit --tower`")
    with pytest.raises(FileNotFoundError, match="holds no visual tokenizer"):
        load_input_config(str(parts / "tower"), DiscreteInput(tokenizer=str(tmp_path / "nowhere")))


def test_another_tower_s_tokenizer_is_refused(parts: Path, tmp_path: Path) -> None:
    own = fingerprint(SiglipVisionModel.from_pretrained(parts / "tower"))
    check_same_tower(str(parts / "tokenizer"), own)
    other = fingerprint(SiglipVisionModel.from_pretrained(write_tower(tmp_path / "other", seed=5)))
    with pytest.raises(ValueError, match=r"model.visual_input.tokenizer: .* fitted on another vision tower"):
        check_same_tower(str(parts / "tokenizer"), other)
