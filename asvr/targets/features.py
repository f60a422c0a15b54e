"""Feature sources: what of an image a visual tokenizer quantises, one vector per visual token."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from PIL.Image import Image
from torch import Tensor, nn
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.preparing import ImagePreparer, load_image_processor
from asvr.targets.resample import Grid


@runtime_checkable
class FeatureSource(Protocol):
    """A frozen module from prepared images to one vector per visual token, and what prepares the images for it.

    Every source is an `nn.Module`; `asvr/targets/storage.py` lists the kinds.
    """

    grid: Grid
    """Rows and columns of its vectors."""

    dim: int
    """Width of its vectors."""

    prepare: Callable[[Image], Tensor]
    """Turns one RGB image into the tensor that the module takes; it does not hold the network."""

    processor: BaseImageProcessor
    """The stock image processor behind `prepare`."""

    def __call__(self, prepared: Shaped[Tensor, "images ..."]) -> Float[Tensor, "images positions dim"]:
        """Gives the features of each image in raster order."""
        ...

    def describe(self) -> dict[str, Any]:
        """Says in plain JSON values which features these are: `kind`, and whatever else changes a feature."""
        ...

    def save(self, folder: Path) -> None:
        """Writes what `load` of the same class needs beside the description: networks and the image processor."""
        ...


class PixelPatches(nn.Module):
    """The pixels of each patch as they are: the plainest appearance features.

    Args:
        processor: Image processor that says how pixels are normalised.
        patch_size: Side of a patch in pixels; what is left over right and below is dropped, as a tower does.
    """

    def __init__(self, processor: BaseImageProcessor, patch_size: int) -> None:
        super().__init__()
        self.processor = processor
        self.prepare: Callable[[Image], Tensor] = ImagePreparer(processor)
        self.patch_size = patch_size
        self.grid = patch_grid(self.prepare, patch_size)
        self.dim = 3 * patch_size**2

    def forward(self, prepared: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Cuts each image into patches, raster order, channels first inside a patch."""
        return torch.nn.functional.unfold(prepared, self.patch_size, stride=self.patch_size).transpose(1, 2)

    def decode(self, features: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images 3 height width"]:
        """Puts the patches together again, without what was dropped at the edges."""
        size = (self.grid[0] * self.patch_size, self.grid[1] * self.patch_size)
        return torch.nn.functional.fold(features.transpose(1, 2), size, self.patch_size, stride=self.patch_size)

    def describe(self) -> dict[str, Any]:
        """Says which features these are."""
        return {"kind": "pixels", "patch_size": self.patch_size}

    def save(self, folder: Path) -> None:
        """Writes the image processor."""
        self.processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, described: dict[str, Any]) -> "PixelPatches":
        """Reads what `save` wrote."""
        return cls(load_image_processor(folder), described["patch_size"])


def patch_grid(prepare: Callable[[Image], Tensor], patch_size: int) -> Grid:
    """Counts the rows and columns of patches that an image processor's pixels have."""
    height, width = prepare(new_image()).shape[-2:]
    return height // patch_size, width // patch_size


def new_image() -> Image:
    """Gives a black square, to find out what an image processor makes of one."""
    from PIL import Image as images

    return images.new("RGB", (64, 64))
