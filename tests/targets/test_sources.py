from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    ConvNextImageProcessorPil,
    DPTImageProcessorPil,
)
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.features import FeatureSource
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.sources import FEATURES, LatentSpec, NaFlexSpec, PixelSpec, TowerSpec
from asvr.targets.squaring import WHOLE_PICTURE, squared
from asvr.targets.tokenizer import VisualTokenizer
from tests.parts import pictures
from tests.targets.checkpoints import DINOV3_PROCESSOR, FIXED, write_autoencoder, write_checkpoint

KINDS = (*FIXED, "siglip2-naflex", "pixels", "vae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for kind in (*FIXED, "siglip2-naflex"):
        write_checkpoint(kind, folder / kind)
    write_autoencoder(folder / "vae")
    return folder


def build(kind: str, folder: Path) -> FeatureSource:
    if kind == "siglip2-naflex":
        return NaFlexSpec(str(folder / kind), grid=(3, 3)).build()
    if kind == "pixels":
        return PixelSpec(str(folder / "siglip")).build()
    if kind == "vae":
        return LatentSpec(str(folder / kind), image_size=12).build()
    return TowerSpec(str(folder / kind), image_size=24).build()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_of_any_source_has_equal_codes_once_saved(kind: str, folder: Path, tmp_path: Path) -> None:
    features = build(kind, folder)
    assert isinstance(features, FeatureSource) and features.grid == (3, 3)
    codebooks = torch.randn(2, 8, features.dim, generator=torch.Generator().manual_seed(0))
    ours = VisualTokenizer(features, ResidualQuantizer(codebooks))
    ours.save_pretrained(tmp_path)
    again = VisualTokenizer.from_pretrained(tmp_path)
    images = [picture.resize((40, 30)) for picture in pictures(4)]
    codes = [one.encode(torch.stack([one.prepare(image) for image in images])) for one in (ours, again)]
    assert torch.equal(*codes) and codes[0].shape == (4, 9, 2) and len(codes[0].unique()) > 2
    assert again.identity() == ours.identity()


@pytest.mark.parametrize(("name", "patch_size"), [("dinov2", 14), ("dinov3", 16), ("depth-anything", 14)])
def test_a_named_source_has_the_encoder_s_grid(name: str, patch_size: int, tmp_path: Path) -> None:
    # Patch sizes of the published checkpoints; the paper's encoder has 27 rows of 27.
    folder = write_checkpoint(name, tmp_path, patch_size=patch_size)
    spec = FEATURES[name]
    assert isinstance(spec, TowerSpec)
    assert replace(spec, model=str(folder)).build().grid == (27, 27)


@pytest.mark.parametrize("kind", ["siglip", "clip", "dinov2", "dinov2-registers"])
def test_the_checkpoint_s_own_preparation_is_left_alone(kind: str, folder: Path) -> None:
    image = pictures(1)[0].resize((60, 40))
    own = AutoImageProcessor.from_pretrained(folder / kind, backend="pil")
    expected = own(images=image, return_tensors="pt")["pixel_values"][0]
    features = TowerSpec(str(folder / kind)).build()
    assert torch.equal(features.prepare(image), expected)
    # Their patches are those of the pixels that the tower sees, and its patch size is read without its weights.
    assert PixelSpec(str(folder / kind)).build().grid == features.grid == (3, 3)


def test_dinov3_needs_no_torchvision(folder: Path) -> None:
    image = pictures(1)[0].resize((60, 40))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    # Its own order: rescaled, resized with antialiasing, normalised.
    small = torch.nn.functional.interpolate(pixels[None], size=(24, 24), mode="bilinear", antialias=True)[0]
    mean, std = (torch.tensor(DINOV3_PROCESSOR[key])[:, None, None] for key in ("image_mean", "image_std"))
    found = TowerSpec(str(folder / "dinov3")).build().prepare(image)
    # Pillow rounds to 8 bits after each of its two passes.
    assert (found * std - (small - mean)).abs().max() < 1 / 255


@pytest.mark.parametrize("kind", WHOLE_PICTURE)
def test_the_whole_picture_becomes_a_square(kind: type[BaseImageProcessor]) -> None:
    cropping = (CLIPImageProcessorPil, BitImageProcessorPil)
    processor = kind(size={"shortest_edge": 32} if kind in cropping else {"height": 24, "width": 24})
    if isinstance(processor, DPTImageProcessorPil):
        processor = kind(keep_aspect_ratio=True, ensure_multiple_of=14, do_pad=True, size_divisor=16)
    image = pictures(1)[0].resize((90, 30))
    resized = np.asarray(image.resize((50, 50), processor.resample)) / 255
    expected = ((resized - processor.image_mean) / processor.image_std).transpose(2, 0, 1)
    found = squared(processor, 50)(images=image, return_tensors="pt")["pixel_values"][0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)


def test_the_given_processor_stays_as_it_is() -> None:
    processor = CLIPImageProcessorPil()
    before = processor.to_dict()
    squared(processor, 50)
    assert processor.to_dict() == before


def test_an_unknown_processor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ConvNextImageProcessorPil is made .* not known: leave image_size out"):
        squared(ConvNextImageProcessorPil(), 24)


def test_a_wide_picture_keeps_its_ends(folder: Path) -> None:
    # CLIP's own preparation takes the middle third of it, where nothing is white.
    image = Image.new("RGB", (90, 30), "black")
    image.paste("white", (0, 0, 15, 30))
    own, whole = (PixelSpec(str(folder / "clip"), image_size=size).build().prepare(image) for size in (None, 24))
    assert own.max() < 0 < 1 < whole.max()
