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
    """Counts the rows and columns of patches that an image processor's pixels have; errors are `prepared_size`'s."""
    height, width = prepared_size(prepare)
    return height // patch_size, width // patch_size


def prepared_size(prepare: Callable[[Image], Tensor]) -> tuple[int, int]:
    """Gives the height and width in pixels that pictures are prepared to.

    Raises:
        ValueError: If they depend on the picture's proportions, so that there is no one grid.
    """
    square, wide, tall = (prepare(new_image(*size)).shape[-2:] for size in ((64, 64), (96, 64), (64, 96)))
    if not square == wide == tall:
        raise ValueError(
            f"the image processor makes {square[0]}x{square[1]} pixels of a square picture, {wide[0]}x{wide[1]} of a "
            "wider one, but visual tokens need one grid: give an `image_size`"
        )
    return square[0], square[1]


def new_image(width: int = 64, height: int = 64) -> Image:
    """Gives a black picture, to find out what an image processor makes of one."""
    from PIL import Image as images

    return images.new("RGB", (width, height))
