"""Image processors that show the whole picture, so that a code's position is a place that a visual token has too."""

from typing import Any, TypeVar

from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    DPTImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)
from transformers.image_processing_utils import BaseImageProcessor

Processor = TypeVar("Processor", bound=BaseImageProcessor)

WHOLE_PICTURE: dict[type[BaseImageProcessor], dict[str, bool | int]] = {
    SiglipImageProcessorPil: {},
    ViTImageProcessorPil: {},
    CLIPImageProcessorPil: {"do_center_crop": False},
    BitImageProcessorPil: {"do_center_crop": False},
    DPTImageProcessorPil: {"keep_aspect_ratio": False, "ensure_multiple_of": 1, "do_pad": False},
}
"""What makes an image processor show the whole picture, by its class."""


def squared(processor: BaseImageProcessor, image_size: int) -> BaseImageProcessor:
    """Makes an image processor resize the whole picture to a square: nothing is cropped, padded or kept in proportion.

    Args:
        processor: A stock image processor; its normalisation and interpolation are kept.
        image_size: Side of the square in pixels.

    Raises:
        ValueError: If the image processor is of a kind not known here.
    """
    if type(processor) not in WHOLE_PICTURE:
        known = ", ".join(kind.__name__ for kind in WHOLE_PICTURE)
        raise ValueError(
            f"how a {type(processor).__name__} is made to show the whole picture is not known: leave image_size out, "
            f"use a model with one of {known}, or add it to WHOLE_PICTURE in asvr/targets/squaring.py"
        )
    side = {"height": image_size, "width": image_size}
    return changed(processor, {**WHOLE_PICTURE[type(processor)], "do_resize": True, "size": side})


def changed(processor: Processor, values: dict[str, Any]) -> Processor:
    """Makes a stock image processor with some values exchanged."""
    made = type(processor).from_dict({**processor.to_dict(), **values})
    assert isinstance(made, type(processor))
    return made
