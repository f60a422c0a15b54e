"""What a vision tower sees of a picture, for a target encoder that has to see the same: one crop, or several."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor
from transformers import LlavaNextImageProcessorPil

from asvr.data.images import Size
from asvr.data.layout import ImageLayout

Cut = Callable[[Image.Image], list[Image.Image]]
"""Turns one picture into its crops."""


@dataclass(frozen=True)
class EachCrop:
    """One picture → what a target encoder takes of each of its crops.

    Args:
        prepare: Turns one crop into what the target encoder takes.
        cut: Gives the crops.
    """

    prepare: Callable[[Image.Image], Tensor]
    cut: Cut

    def __call__(self, image: Image.Image) -> Shaped[Tensor, "crops ..."]:
        """Prepares every crop."""
        return torch.stack([self.prepare(crop) for crop in self.cut(image)])


@dataclass(frozen=True)
class Uncut:
    """One picture → itself, as often as the vision tower sees a crop of it.

    Args:
        layout: Says how often that is for a picture of some size.
    """

    layout: Callable[[Size], ImageLayout]

    def __call__(self, image: Image.Image) -> list[Image.Image]:
        """Repeats the picture."""
        return [image] * self.layout((image.height, image.width)).num_crops


@dataclass(frozen=True)
class Tiles:
    """One picture → the crops that a LLaVA-NeXT sees of it.

    The whole picture is given as it is, since every image processor here resizes it itself; the tiles are the stock
    image processor's own, padded with black where the picture does not fill them.

    Args:
        processor: The model's image processor.
    """

    processor: LlavaNextImageProcessorPil

    def __call__(self, image: Image.Image) -> list[Image.Image]:
        """Gives the whole picture, then its tiles in raster order."""
        side = self.processor.size["height"]
        _, *tiles = self.processor.get_image_patches(
            self.processor.process_image(image, do_convert_rgb=True),
            self.processor.image_grid_pinpoints,
            size=(side, side),
            patch_size=side,
            resample=self.processor.resample,
        )
        return [image, *(Image.fromarray(np.moveaxis(tile, 0, -1)) for tile in tiles)]
