from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)

from asvr.data.pictures import find_pictures
from asvr.targets.checkpoints import load_tower
from asvr.targets.preparing import ImagePreparer
from asvr.tokenizer_training.batches import Sample, TrainingPictures, load_samples, micro_batches, random_crop
from asvr.tokenizer_training.perceptual import Normalisation, PerceptualDistance, load_perceptual
from asvr.tokenizers.ranks import generator
from tests.tokenizers.trained import pictures, write_pictures, write_siglip

PROCESSOR = SiglipImageProcessorPil(size={"height": 8, "width": 8})
IMAGENET = ViTImageProcessorPil(
    size={"height": 8, "width": 8}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
)


def shown(folder: Path, **options: bool | float) -> TrainingPictures:
    return TrainingPictures(pictures(folder), ImagePreparer(PROCESSOR), seed=1, **options)  # type: ignore[arg-type]


def samples(made: TrainingPictures, numbers: range) -> list[Sample]:
    return [one for batch in load_samples(made, [list(numbers)], workers=0) for one in batch]


def test_each_epoch_shows_every_picture_once_but_those_kept_apart(tmp_path: Path) -> None:
    made = shown(write_pictures(tmp_path / "p"))
    assert made.held_out == [0, 10] and sorted([*made.kept, *made.held_out]) == list(range(20))
    names = {}
    for epoch in range(2):
        numbers = range(18 * epoch, 18 * (epoch + 1))
        names[epoch] = [sample.pixels.numpy().tobytes() for sample in samples(made, numbers)]
        own = [made.prepare(made.pictures.open(index)).numpy().tobytes() for index in made.kept.tolist()]
        assert sorted(names[epoch]) == sorted(own)
    assert names[0] != names[1]


def test_steps_are_cut_into_runs_of_consecutive_samples() -> None:
    assert list(micro_batches(range(1, 3), 8, slice(4, 8), 2)) == [[12, 13], [14, 15], [20, 21], [22, 23]]


def test_a_broken_picture_stops_or_is_stood_in_for_and_counted(tmp_path: Path) -> None:
    records = write_pictures(tmp_path / "p")
    broken = tmp_path / "p" / "images" / "7.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"7\.png.*cannot be read"):
        samples(shown(records), range(18))
    found = samples(shown(records, skip_bad=True), range(18))
    assert len(found) == 18
    [(index, reason)] = [fault for sample in found for fault in sample.faults]
    assert index == 7 and "7.png" in reason


def test_captions_that_are_needed_must_be_there(tmp_path: Path) -> None:
    records = write_pictures(tmp_path / "p")
    caption = samples(shown(records, captioned=True), range(1))[0].caption
    assert caption is not None and caption.startswith("a ") and caption.endswith(" one")
    plain = find_pictures(str(records.parent / "images"))
    uncaptioned = TrainingPictures(plain, ImagePreparer(PROCESSOR), seed=0, captioned=True)
    with pytest.raises(ValueError, match=r"png has no caption, which the contrastive loss needs.*contrastive_weight=0"):
        samples(uncaptioned, range(1))


def test_one_picture_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trained on some and judged on others"):
        shown(write_pictures(tmp_path / "p", count=1))


def test_crops_keep_their_share_and_shape() -> None:
    picture = Image.fromarray(np.arange(60 * 90 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 90, 3))
    sizes = [random_crop(picture, 0.5, generator(0, "crop", number)).size for number in range(200)]
    shares = [wide * tall / (60 * 90) for wide, tall in sizes]
    assert 0.48 < min(shares) < 0.6 and 0.85 < max(shares) <= 1
    aspects = [wide / tall for wide, tall in sizes if (wide, tall) != (90, 60)]
    assert min(aspects) > 3 / 4 - 0.05 and max(aspects) < 4 / 3 + 0.05
    again = random_crop(picture, 0.5, generator(0, "crop", 3))
    assert again.tobytes() == random_crop(picture, 0.5, generator(0, "crop", 3)).tobytes()


def test_pixels_normalised_for_one_model_are_turned_into_those_of_another() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    given, wanted = (ImagePreparer(each)(picture).unsqueeze(0) for each in (PROCESSOR, IMAGENET))
    torch.testing.assert_close(Normalisation(PROCESSOR, IMAGENET)(given), wanted)


def expected_distance(one: torch.Tensor, other: torch.Tensor, channels: int) -> torch.Tensor:
    # A rectifier's zero vector has no direction, and stays zero.
    lengths = [each.pow(2).sum(channels, keepdim=True).sqrt().clamp(min=1e-12) for each in (one, other)]
    return (one / lengths[0] - other / lengths[1]).pow(2).sum(channels).mean()


def test_perceptual_distance_of_a_transformer_and_of_a_convolutional_network(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    siglip = write_siglip(tmp_path / "siglip", tokenizer)
    torch.manual_seed(0)
    resnet = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")).eval()
    decoded, real = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randn(2, 3, 16, 16)
    tower = load_perceptual(str(siglip), (1, 2), SiglipImageProcessorPil.from_pretrained(siglip))
    convolutional = PerceptualDistance(resnet, Normalisation(PROCESSOR, PROCESSOR), (16, 16), (1, 2))
    for distance, model, channels in (
        (tower, load_tower(str(siglip)), -1),
        (convolutional, resnet, 1),
    ):
        # The same pixels for both: no normalisation or size is changed.
        states = [model(each, output_hidden_states=True).hidden_states for each in (decoded, real)]
        layers = [expected_distance(states[0][layer], states[1][layer], channels) for layer in (1, 2)]
        found = distance(decoded, real)
        torch.testing.assert_close(found, torch.stack(layers).mean(), rtol=1e-4, atol=1e-5)
        assert distance(real, real).item() == pytest.approx(0, abs=1e-6)
        (gradient,) = torch.autograd.grad(found, decoded)
        assert gradient.abs().max() > 0


def test_a_perceptual_loss_needs_a_network_and_layers_that_it_has(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match=r"none is shipped: --set appearance.perceptual.backbone=.*weight=0"):
        load_perceptual("", (1,), PROCESSOR)
    siglip = write_siglip(tmp_path / "siglip", tokenizer)
    with pytest.raises(ValueError, match=r"layers names 9, but .* has 4 hidden states"):
        load_perceptual(str(siglip), (9,), PROCESSOR)
