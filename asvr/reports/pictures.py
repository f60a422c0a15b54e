"""Pictures and maps of codes as data that a page carries in itself."""

import base64
import colorsys
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

LARGEST = 288
"""Longest side of an embedded picture in pixels; a larger one is reduced to it."""

CELL = 10
"""Side of a code's square in a map, in pixels."""

_INSET = 3
_GOLDEN = 0.618034


@cache
def data_uri(path: Path) -> str:
    """Gives a picture as a data URI."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return _png(picture)


def code_map(codes: Sequence[int], grid: tuple[int, int], *, target: Sequence[int]) -> str:
    """Draws codes as squares, the same colour for the same code.

    Args:
        codes: Of one depth, in raster order.
        grid: Rows and columns.
        target: The right codes; where `codes` differs, its square is drawn small on grey.

    Returns:
        A data URI.
    """
    shown, wanted = (np.array(each).reshape(grid) for each in (codes, target))
    canvas = np.kron(palette(int(shown.max()) + 1)[shown], np.ones((CELL, CELL, 1), dtype=np.uint8))
    for row, column in np.argwhere(shown != wanted):
        square = canvas[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        colour = square[0, 0].copy()
        square[:] = 236
        square[_INSET:-_INSET, _INSET:-_INSET] = colour
    return _png(Image.fromarray(canvas))


def palette(number: int) -> UInt8[np.ndarray, "codes 3"]:
    """Gives each code a colour, neighbours far apart in hue."""
    tones = ((0.78, 0.75), (0.95, 0.45), (0.55, 0.95), (0.60, 0.60), (0.90, 0.92))
    colours = [colorsys.hsv_to_rgb((code * _GOLDEN) % 1, *tones[code % len(tones)]) for code in range(number)]
    return (np.array(colours) * 255).astype(np.uint8)


def right_codes(codes: Sequence[Sequence[int]], target: Sequence[Sequence[int]]) -> Int[np.ndarray, " depth"]:
    """Counts the positions whose code is right, at each depth."""
    return (np.array(codes) == np.array(target)).sum(0)


def _png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
