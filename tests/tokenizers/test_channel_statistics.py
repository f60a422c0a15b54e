from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SiglipImageProcessorPil

from asvr.targets.continuous import ContinuousTargets
from asvr.targets.features import PixelPatches
from asvr.tokenizers.channel_statistics import ChannelSums, measure_channels
from tests.parts import PATCH_SIZE, Album, pictures


@pytest.fixture
def pixels(parts: Path) -> PixelPatches:
    return PixelPatches(SiglipImageProcessorPil.from_pretrained(parts / "tower"), PATCH_SIZE)


def test_standardised_features_have_mean_zero_and_deviation_one(pixels: PixelPatches) -> None:
    shown = pictures(70)  # Two batches.
    measured = measure_channels(pixels, Album(shown))
    targets = ContinuousTargets(pixels, statistics=measured.statistics)
    found = targets.encode(torch.stack([pixels.prepare(each) for each in shown])).double().flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1], dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(found.shape[1], dtype=torch.float64))
    assert (measured.about["pictures"], measured.about["visual_tokens"]) == (70, 280)


def test_they_are_numpy_s_however_the_vectors_come() -> None:
    # A mean ten thousand deviations from zero, where squares in fp32 would leave nothing of the variance.
    vectors = torch.from_numpy(np.random.default_rng(0).normal(1e4, [1.0, 3.0], (1000, 2))).float()
    sums = ChannelSums(2, torch.device("cpu"))
    for part in (vectors[:0], vectors[:1], vectors[1:600], vectors[600:]):
        sums.add(part)
    mean, deviation = sums.standardisation().mean.numpy(), sums.standardisation().deviation.numpy()
    np.testing.assert_allclose(mean, vectors.double().numpy().mean(0), rtol=1e-7)
    np.testing.assert_allclose(deviation, vectors.double().numpy().std(0), rtol=1e-6)


def test_a_channel_that_never_moves_becomes_zero(pixels: PixelPatches) -> None:
    black = Image.new("RGB", (30, 30))
    measured = measure_channels(pixels, Album([black, black]))
    assert (measured.statistics.deviation == 1).all()
    targets = ContinuousTargets(pixels, statistics=measured.statistics)
    assert not targets.encode(pixels.prepare(black)[None]).any()


def test_a_part_of_the_pictures_is_drawn_by_the_seed(pixels: PixelPatches) -> None:
    means = [
        measure_channels(pixels, Album(pictures(12)), max_pictures=5, seed=seed).statistics.mean for seed in (0, 0, 1)
    ]
    assert torch.equal(means[0], means[1]) and not torch.equal(means[0], means[2])
    assert measure_channels(pixels, Album(pictures(12)), max_pictures=5).about["pictures"] == 5
