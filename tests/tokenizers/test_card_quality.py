import math

import numpy as np
import pytest
import torch
from transformers import SiglipImageProcessorPil

from asvr.tokenizers.image_quality import MAX_PSNR, psnr, ssim, unnormalise
from tests.parts import pictures


def test_psnr_of_known_errors() -> None:
    originals = torch.full((3, 3, 16, 16), 0.5)
    decoded = torch.stack([originals[0] + 0.1, originals[1] - 1 / 255, originals[2]])
    # 10 log10(1 / 0.01), 20 log10(255), and equal pictures.
    assert psnr(decoded, originals).tolist() == pytest.approx([20.0, 48.1308, MAX_PSNR], abs=1e-3)


def reference_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 of Wang et al. (2004), window by window."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for channel in range(3):
        for row in range(x.shape[1] - 10):
            for column in range(x.shape[2] - 10):
                a, b = (each[channel, row : row + 11, column : column + 11] for each in (x, y))
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                over = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
                values.append(over / ((mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2)))
    return float(np.mean(values))


def test_ssim_is_the_paper_s() -> None:
    random = np.random.default_rng(0)
    x = random.random((2, 3, 14, 17))
    y = np.clip(x + 0.2 * random.standard_normal(x.shape), 0, 1)
    wanted = [reference_ssim(*pair) for pair in zip(x, y, strict=True)]
    assert ssim(torch.from_numpy(x), torch.from_numpy(y)).tolist() == pytest.approx(wanted, abs=1e-9)
    assert 0.2 < min(wanted) < max(wanted) < 0.99
    assert ssim(torch.from_numpy(x), torch.from_numpy(x)).tolist() == pytest.approx([1.0, 1.0])


def test_ssim_of_even_pictures_is_that_of_their_luminance() -> None:
    a, b = 0.25, 0.75
    wanted = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    found = ssim(torch.full((1, 3, 12, 12), a).double(), torch.full((1, 3, 12, 12), b).double())
    assert float(found) == pytest.approx(wanted, abs=1e-9)


def test_pictures_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="10x12 pixels have no structural similarity"):
        ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))


def test_normalisation_is_undone() -> None:
    processor = SiglipImageProcessorPil(
        size={"height": 30, "width": 30}, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7]
    )
    picture = pictures(1)[0]
    prepared = processor(images=picture, return_tensors="pt")["pixel_values"]
    wanted = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    assert torch.allclose(unnormalise(prepared, processor)[0], wanted, atol=1e-6)
    assert math.isclose(float(unnormalise(prepared + 9, processor).max()), 1)
