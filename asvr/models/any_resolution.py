"""Pictures of any resolution, as LLaVA-NeXT sees them: the whole picture, and the tiles of a larger one."""

import re
from collections.abc import Sequence
from typing import Any

from transformers import LlavaNextImageProcessorPil
from transformers.image_processing_utils import BaseImageProcessor

LAYOUT = re.compile(r"([1-9]\d*)x([1-9]\d*)")

PIXELS = (
    "do_convert_rgb",
    "do_resize",
    "size",
    "resample",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)
"""What an image processor does to the pixels of one crop, by the names of its values."""


def pinpoints(tiles: Sequence[str], side: int) -> list[list[int]]:
    """Gives the height and width in pixels of each layout of tiles, as LLaVA-NeXT takes them.

    Args:
        tiles: Layouts as `ROWSxCOLUMNS`.
        side: Of a tile, in pixels.

    Raises:
        ValueError: If there are none, or one is not written so.
    """
    found = [LAYOUT.fullmatch(one) for one in tiles]
    if not found or None in found:
        raise ValueError(
            f"model.visual_input.tiles is {','.join(tiles)!r}: layouts must be written ROWSxCOLUMNS, separated by "
            "commas, such as 1x2,2x1,2x2"
        )
    return [[side * int(count) for count in one.groups()] for one in found if one]


def any_resolution_processor(
    processor: BaseImageProcessor, tiles: Sequence[str], side: int
) -> LlavaNextImageProcessorPil:
    """Makes LLaVA-NeXT's image processor, which treats the pixels of each crop as a vision tower's own does.

    Args:
        processor: The vision tower's own.
        tiles: Layouts as `ROWSxCOLUMNS` of the tower's squares.
        side: Of the tower's square, in pixels.

    Raises:
        ValueError: As `pinpoints`.
    """
    values = processor.to_dict()
    square = {"height": side, "width": side}
    return LlavaNextImageProcessorPil(
        **{
            **{name: values[name] for name in PIXELS if name in values},
            "do_resize": True,
            "size": square,
            "crop_size": square,
            "do_center_crop": False,
            "image_grid_pinpoints": pinpoints(tiles, side),
        }
    )


def crop_preprocessing(processor: BaseImageProcessor) -> dict[str, Any]:
    """Says how an image processor prepares one crop, in plain values that a tower's own can be compared with."""
    values = processor.to_dict()
    if not isinstance(processor, LlavaNextImageProcessorPil):
        return values
    return {name: values[name] for name in PIXELS if name in values}
