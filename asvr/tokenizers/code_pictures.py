"""Codes as pictures: colours of codes, maps of them, and patches cut from what a tokenizer sees."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from asvr.disk import writing
from asvr.targets.resample import Grid
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.image_quality import unnormalise

MAP_SIDE, PATCH_SIDE = 168, 24
"""Least side of a map, and side of a patch of a strip, in pixels."""

BACKGROUND = (236, 236, 236)

_TAIL = 0.02
"""Share of the codes at each end that a colour channel does not tell apart."""


def code_colours(book: Float[Tensor, "codes dim"], counts: Int[Tensor, " codes"]) -> UInt8[np.ndarray, "codes 3"]:
    """Gives similar code vectors similar colours: the first three principal components are red, green and blue.

    The components are those of the codes that are used, each as often as it is. Colours of different codebooks have
    nothing to do with each other.

    Args:
        book: Code vectors of one depth.
        counts: How often each is used.
    """
    vectors, weights = book.double(), counts.double().unsqueeze(1)
    centred = vectors - (weights * vectors).sum(0) / weights.sum()
    axes = torch.linalg.eigh(centred.T @ (weights * centred)).eigenvectors.flip(1)[:, :3]
    # An axis and its opposite are the same component: the larger side points up.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    components = torch.nn.functional.pad(centred @ axes, (0, 3 - axes.shape[1]))
    low, high = components[counts > 0].quantile(components.new_tensor([_TAIL, 1 - _TAIL]), dim=0)
    shades = ((components - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return (30 + 210 * shades).to(torch.uint8).cpu().numpy()


def code_map(codes: Int[Tensor, " positions"], grid: Grid, colours: UInt8[np.ndarray, "codes 3"]) -> Image.Image:
    """Draws one depth's codes as squares."""
    cell = -(-MAP_SIDE // max(grid))
    shown = Image.fromarray(colours[codes.cpu().numpy().reshape(grid)])
    return shown.resize((grid[1] * cell, grid[0] * cell), Image.Resampling.NEAREST)


def seen(tokenizer: VisualTokenizer, prepared: Shaped[Tensor, "..."], picture: Image.Image) -> Image.Image:
    """Gives what the grid of codes lies over: the prepared pixels, after any crop, or the whole picture.

    Args:
        tokenizer: That prepared it.
        prepared: The prepared picture. Where that is patches in a row, as of NaFlex, nothing was cropped.
        picture: The picture itself.
    """
    if prepared.ndim != 3:
        return picture
    return to_image(unnormalise(prepared.unsqueeze(0), tokenizer.features.processor)[0])


def to_image(pixels: Float[Tensor, "3 height width"]) -> Image.Image:
    """Turns pixels from 0 to 1 into a picture."""
    return Image.fromarray((pixels * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def strip(pictures: Sequence[Image.Image], positions: Sequence[int], grid: Grid, *, places: int) -> Image.Image:
    """Puts patches side by side, each in the middle of its eight neighbours and outlined.

    Args:
        pictures: What the grid lies over, for each patch.
        positions: Of each patch in its picture, raster order.
        grid: Rows and columns.
        places: How many patches the strip has room for; what is left over is transparent.
    """
    side, gap = 3 * PATCH_SIDE, 4
    canvas = Image.new("RGBA", (places * (side + gap) - gap, side))
    for index, (picture, position) in enumerate(zip(pictures, positions, strict=True)):
        row, column = divmod(position, grid[1])
        scaled = picture.resize((grid[1] * PATCH_SIDE, grid[0] * PATCH_SIDE), Image.Resampling.BICUBIC)
        around = Image.new("RGB", (side, side), BACKGROUND)
        around.paste(scaled, ((1 - column) * PATCH_SIDE, (1 - row) * PATCH_SIDE))
        frame = ImageDraw.Draw(around)
        frame.rectangle((PATCH_SIDE - 2, PATCH_SIDE - 2, 2 * PATCH_SIDE + 1, 2 * PATCH_SIDE + 1), outline="black")
        frame.rectangle((PATCH_SIDE - 1, PATCH_SIDE - 1, 2 * PATCH_SIDE, 2 * PATCH_SIDE), outline="white")
        canvas.paste(around, (index * (side + gap), 0))
    return canvas


def save_picture(picture: Image.Image, path: Path) -> None:
    """Writes a PNG.

    Raises:
        OSError: If the disk does not take it.
    """
    with writing(path):
        picture.save(path, "PNG", optimize=True)
