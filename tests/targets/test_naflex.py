from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import Siglip2ImageProcessorPil, Siglip2Model

from asvr.targets.naflex import NaFlexFeatures
from asvr.targets.resample import resample
from asvr.targets.sources import NaFlexSpec
from asvr.targets.towers import Layers
from tests.parts import pictures
from tests.targets.checkpoints import write_checkpoint

SHAPES = {(30, 30): (3, 3), (200, 30): (1, 7), (30, 90): (6, 2)}
"""Width and height of a picture in pixels, and the rows and columns of 8 pixels that it is cut into: those of the
largest scale at which it has at most 12 patches, of which the last row and column may be rounded up."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint("siglip2-naflex", tmp_path_factory.mktemp("naflex"))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [picture.resize(size) for picture, size in zip(pictures(3), SHAPES, strict=True)]


@torch.no_grad()
@pytest.mark.parametrize("layer", [-2, (0, -1)])
def test_a_padded_picture_has_the_features_that_it_has_alone(
    layer: Layers, folder: Path, images: list[Image.Image]
) -> None:
    features = NaFlexSpec(str(folder), layer, grid=(2, 3)).build()
    prepared = torch.stack([features.prepare(image) for image in images])
    # 12 patches of 8x8 pixels in three colours, and the mark.
    assert prepared.shape == (3, 12, 8 * 8 * 3 + 1)
    found = features(prepared)
    assert found.shape == (3, 6, features.dim)
    whole, processor = Siglip2Model.from_pretrained(folder).eval(), Siglip2ImageProcessorPil.from_pretrained(folder)
    for index, (image, shape) in enumerate(zip(images, SHAPES.values(), strict=True)):
        made = processor(images=image, return_tensors="pt")
        assert tuple(made["spatial_shapes"][0].tolist()) == shape
        count = shape[0] * shape[1]
        # The stock model on the picture's own patches, without any padding.
        states = whole.vision_model(
            pixel_values=made["pixel_values"][:, :count],
            pixel_attention_mask=torch.ones(1, count, dtype=torch.long),
            spatial_shapes=made["spatial_shapes"],
            output_hidden_states=True,
        ).hidden_states
        own = states[2] if layer == -2 else torch.cat([states[0], states[3]], dim=2)
        expected = resample(own, shape, (2, 3))[0]
        torch.testing.assert_close(found[index], expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_what_is_in_the_padding_does_not_matter(folder: Path, images: list[Image.Image]) -> None:
    features = NaFlexSpec(str(folder), grid=(3, 3)).build()
    prepared = torch.stack([features.prepare(image) for image in images])
    disturbed = prepared.clone()
    # The square picture has 9 patches, the wide one 7.
    disturbed[0, 9:, :-1] = 100
    disturbed[1, 7:, :-1] = -100
    assert torch.equal(features(disturbed), features(prepared))


def test_marks_survive_half_precision(folder: Path, images: list[Image.Image]) -> None:
    features = NaFlexSpec(str(folder), grid=(3, 3)).build()
    for image in images:
        marks = features.prepare(image)[:, -1]
        assert torch.equal(marks.bfloat16().float(), marks)


@torch.no_grad()
def test_features_on_their_own_grid_are_left_untouched(folder: Path) -> None:
    features = NaFlexSpec(str(folder), grid=(3, 3)).build()
    prepared = features.prepare(pictures(1)[0])[None]
    states = features.tower(
        pixel_values=prepared[..., :-1],
        pixel_attention_mask=(prepared[..., -1] > 0).long(),
        spatial_shapes=torch.tensor([[3, 3]]),
        output_hidden_states=True,
    ).hidden_states
    assert torch.equal(features(prepared), states[2][:, :9])


@torch.no_grad()
def test_saved_and_loaded(folder: Path, images: list[Image.Image], tmp_path: Path) -> None:
    ours = NaFlexSpec(str(folder), grid=(2, 3)).build()
    ours.save(tmp_path)
    again = NaFlexFeatures.load(tmp_path, ours.describe())
    assert again.describe() == ours.describe() and again.grid == (2, 3)
    prepared = torch.stack([ours.prepare(image) for image in images])
    assert torch.equal(torch.stack([again.prepare(image) for image in images]), prepared)
    assert torch.equal(again(prepared), ours(prepared))


def test_the_number_of_patches_can_be_chosen(folder: Path) -> None:
    features = NaFlexSpec(str(folder), max_patches=25).build()
    # A square picture: five rows of five.
    prepared = features.prepare(pictures(1)[0])
    assert len(prepared) == 25 and (prepared[:, -1] == 2).sum() == 5


def test_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint("siglip", tmp_path / "siglip")
    with pytest.raises(ValueError, match="is a SiglipVisionModel, no SigLIP2 of type NaFlex: use `TowerSpec`"):
        NaFlexSpec(str(folder)).build()
