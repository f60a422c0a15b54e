"""How near decoded pictures come to the originals: peak signal-to-noise ratio and structural similarity."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor

MAX_PSNR = 100.0
"""What equal pictures get, in decibels, where the ratio itself is infinite; 8-bit pictures whose every value is off by
one have 48."""

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window, in pixels (Wang et al. 2004, section III.C)."""

C1, C2 = 0.01**2, 0.03**2
"""Constants of the same section, for pixels from 0 to 1."""


def unnormalise(
    pixels: Float[Tensor, "images 3 height width"], processor: BaseImageProcessor
) -> Float[Tensor, "images 3 height width"]:
    """Undoes the normalisation of an image processor; gives pixels from 0 to 1, fp32."""
    settings = processor.to_dict()
    if not settings.get("do_normalize", True):
        return pixels.float().clamp(0, 1)
    mean, std = (pixels.new_tensor(settings[key]).float().view(3, 1, 1) for key in ("image_mean", "image_std"))
    return (pixels.float() * std + mean).clamp(0, 1)


def psnr(
    decoded: Float[Tensor, "images 3 height width"], originals: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, " images"]:
    """Gives 10 log10(1 / mean squared error) of each picture over all pixels and channels, in decibels, at most 100.

    Args:
        decoded: Pixels from 0 to 1.
        originals: The same of the pictures that they should be.
    """
    errors = (decoded - originals).square().flatten(1).mean(1)
    return (-10 * errors.clamp(min=1e-30).log10()).clamp(max=MAX_PSNR)


def ssim(
    decoded: Float[Tensor, "images 3 height width"], originals: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, " images"]:
    """Gives the mean structural similarity of each picture (Wang et al. 2004), 1 for equal ones.

    The index is that of each colour channel for itself, averaged over the three, as is common for colour pictures; the
    paper has grey ones. Only windows that lie inside the picture count, as in the paper.

    Args:
        decoded: Pixels from 0 to 1.
        originals: The same of the pictures that they should be.

    Raises:
        ValueError: If the pictures are smaller than the window.
    """
    if min(decoded.shape[2:]) < WINDOW:
        raise ValueError(
            f"pictures of {decoded.shape[2]}x{decoded.shape[3]} pixels have no structural similarity: its window is "
            f"{WINDOW} pixels wide, so choose a larger image size"
        )
    mean_x, mean_y = _smooth(decoded), _smooth(originals)
    variance_x = _smooth(decoded * decoded) - mean_x * mean_x
    variance_y = _smooth(originals * originals) - mean_y * mean_y
    covariance = _smooth(decoded * originals) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return (luminance * structure).flatten(1).mean(1)


def _smooth(pixels: Tensor) -> Tensor:
    offsets = torch.arange(WINDOW, dtype=pixels.dtype, device=pixels.device) - WINDOW // 2
    weights = (-(offsets**2) / (2 * SIGMA**2)).exp()
    weights = weights / weights.sum()
    columns = F.conv2d(pixels, weights.view(1, 1, -1, 1).expand(3, -1, -1, -1), groups=3)
    return F.conv2d(columns, weights.view(1, 1, 1, -1).expand(3, -1, -1, -1), groups=3)
