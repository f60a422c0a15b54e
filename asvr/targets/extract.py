"""Features of many images, for probing."""

from collections.abc import Iterable
from itertools import islice

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from asvr.targets.features import FeatureSource

IMAGES_AT_ONCE = 64


@torch.no_grad()
def extract(features: FeatureSource, images: Iterable[Image]) -> Float[Tensor, "images positions dim"]:
    """Gives the features of each RGB image, fp32, on the CPU, in raster order."""
    source, parts = iter(images), []
    while chunk := list(islice(source, IMAGES_AT_ONCE)):
        parts.append(features(torch.stack([features.prepare(image) for image in chunk])).float())
    return torch.cat(parts)
