import sys
from pathlib import Path

import pytest
import torch

from asvr.targets.latents import AutoencoderLatents, load_autoencoder
from asvr.targets.sources import LatentSpec
from tests.parts import pictures
from tests.targets.checkpoints import write_autoencoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_autoencoder(tmp_path_factory.mktemp("autoencoder"), scaling_factor=0.5, shift_factor=0.25)


def prepared(features: AutoencoderLatents) -> torch.Tensor:
    return torch.stack([features.prepare(picture) for picture in pictures(2)])


@torch.no_grad()
def test_a_token_has_the_scaled_mode_of_its_square_of_latents(folder: Path) -> None:
    features = LatentSpec(str(folder), image_size=24).build()
    # 24 pixels, 12 latents, 6 squares of two; four channels.
    assert features.grid == (6, 6) and features.dim == 4 * 2 * 2
    pixels = prepared(features)
    assert pixels.shape == (2, 3, 24, 24) and -1 <= pixels.min() < -0.5 < 0.5 < pixels.max() <= 1
    # The first half of the channels is the mean of the distribution, which is its mode; the diffusion model of the
    # release takes (mode - shift) x scale.
    latents = (features.autoencoder.quant_conv(features.autoencoder.encoder(pixels))[:, :4] - 0.25) * 0.5
    found = features(pixels)
    for row in range(6):
        for column in range(6):
            own = latents[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(found[:, 6 * row + column], own.flatten(1), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("values", [{"scaling_factor": 0.5, "shift_factor": 0.25}, {"scaling_factor": 0.18215}])
def test_decoding_is_the_autoencoder_s_own(values: dict[str, float], tmp_path: Path) -> None:
    features = LatentSpec(str(write_autoencoder(tmp_path, **values)), image_size=24).build()
    pixels = prepared(features)
    expected = features.autoencoder.decode(features.autoencoder.encode(pixels).latent_dist.mode()).sample
    torch.testing.assert_close(features.decode(features(pixels)), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    ours = LatentSpec(str(folder), patch=1, image_size=16).build()
    ours.save(tmp_path)
    again = AutoencoderLatents.load(tmp_path, ours.describe())
    assert again.describe() == ours.describe() and again.grid == (8, 8)
    assert torch.equal(prepared(again), prepared(ours)) and torch.equal(again(prepared(ours)), ours(prepared(ours)))


@torch.no_grad()
def test_a_sample_is_the_mode_and_the_distribution_s_noise(folder: Path, tmp_path: Path) -> None:
    mode, sampled = (LatentSpec(str(folder), image_size=24, sample=sample).build() for sample in (False, True))
    pixels = prepared(mode)
    moments = mode.autoencoder.quant_conv(mode.autoencoder.encoder(pixels))
    torch.manual_seed(3)
    found = sampled(pixels)
    # The second half of the channels is the logarithm of the variance; the global generator draws.
    torch.manual_seed(3)
    noise = torch.randn(2, 4, 12, 12) * (moments[:, 4:] / 2).exp() * 0.5
    expected = mode(pixels) + torch.nn.functional.unfold(noise, 2, stride=2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    # Another source; what was saved before there were samples is described as ever.
    assert sampled.describe()["sample"] is True and "sample" not in mode.describe()
    sampled.save(tmp_path)
    assert AutoencoderLatents.load(tmp_path, sampled.describe()).sample


def test_another_scale_is_another_source(folder: Path, tmp_path: Path) -> None:
    # The weights are equal: the same seed made them.
    other = LatentSpec(str(write_autoencoder(tmp_path)), image_size=24).build().describe()
    ours = LatentSpec(str(folder), image_size=24).build().describe()
    assert other["autoencoder_sha256"] == ours["autoencoder_sha256"] and other != ours


def test_four_levels_give_the_encoder_s_grid(tmp_path: Path) -> None:
    # As every published one: 432 pixels, 54 latents, 27 squares of two.
    assert LatentSpec(str(write_autoencoder(tmp_path, levels=4))).build().grid == (27, 27)


def test_latents_that_are_no_whole_squares_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"26x26 pixels .* tokens of 4x4, 2x2 latents: .* multiple of 4, such as 108"):
        LatentSpec(str(folder), image_size=26).build()


def test_without_diffusers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "diffusers.models.autoencoders.autoencoder_kl", None)
    with pytest.raises(ValueError, match=r"pip install 'asvr\[latents\]'"):
        load_autoencoder("anything")
