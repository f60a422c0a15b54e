"""Features of many images, for fitting and for probing."""

from collections.abc import Iterable
from itertools import islice

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from asvr.targets.features import FeatureSource

IMAGES_AT_ONCE = 64


@torch.no_grad()
def extract(
    features: FeatureSource,
    images: Iterable[Image],
    *,
    positions: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "images positions dim"]:
    """Gives the features of each image, fp32, on the CPU.

    Args:
        features: What is computed; moved to the device.
        images: RGB images.
        positions: Keep only so many of each image, drawn at random; None keeps all, in raster order.
        seed: Draws the positions.
        device: Where the features are computed.
    """
    generator = torch.Generator().manual_seed(seed)
    total = features.grid[0] * features.grid[1]
    assert isinstance(features, nn.Module)
    features.to(device)
    source, parts = iter(images), []
    while chunk := list(islice(source, IMAGES_AT_ONCE)):
        part = features(torch.stack([features.prepare(image) for image in chunk]).to(device)).float().cpu()
        if positions is not None and positions < total:
            drawn = torch.rand(len(part), total, generator=generator).argsort(1)[:, :positions]
            part = part.take_along_dim(drawn.unsqueeze(-1), 1)
        parts.append(part)
    return torch.cat(parts) if parts else torch.empty(0, min(positions or total, total), features.dim)
