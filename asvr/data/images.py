"""Image files as the tensors that models take."""

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor

from asvr.data.layout import ImageLayout

Size = tuple[int, int]
"""Height and width in pixels."""


UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow's decoders raise on damaged files."""


class PreparedImage(NamedTuple):
    """One image, ready for the model and the target encoders.

    Args:
        inputs: The model's inputs, `pixel_values` among them, by name.
        targets: What each target encoder takes, by the name of its supervision: `(crops, ...)`.
        layout: Which visual tokens it becomes.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    layout: ImageLayout


def open_image(file: Path | BytesIO, *, record: str, at_least: Size | None = None) -> Image.Image:
    """Reads an image file, as RGB.

    As in LLaVA, transparency is dropped, not blended, and the orientation noted by a camera is not applied.

    Args:
        file: The file, or its bytes.
        record: Id of the record that shows it, for the error.
        at_least: Height and width in pixels that are enough: a JPEG file is then decoded at the smallest of 1/8, 1/4
            and 1/2 of its size that still has both, if there is one. None decodes in full.

    Raises:
        ValueError: If the file is missing, cut short or no image.
    """
    try:
        with Image.open(file) as image:
            if at_least is not None:
                image.draft(None, at_least[::-1])
            image.load()
            # Straight to RGB, a palette with transparency warns.
            return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    except UNREADABLE as error:
        raise _unreadable(file, record, error) from error


def read_size(file: Path, *, record: str) -> Size:
    """Reads an image's height and width from the head of its file; arguments and errors are those of `open_image`."""
    try:
        with Image.open(file) as image:
            return image.height, image.width
    except UNREADABLE as error:
        raise _unreadable(file, record, error) from error


def _unreadable(file: Path | BytesIO, record: str, error: Exception) -> ValueError:
    return ValueError(
        f"{file if isinstance(file, Path) else 'bytes'}: record {record!r} needs this image, but it cannot be read "
        f"({error}). Fetch the file again, or leave the record out."
    )


class ModelInputs:
    """One image → the model's inputs, by the model's own image processor.

    Args:
        processor: A stock image processor.
    """

    def __init__(self, processor: BaseImageProcessor) -> None:
        self.processor = processor

    def __call__(self, image: Image.Image) -> dict[str, Tensor]:
        """Gives `pixel_values` and whatever else the model takes, by name, without a batch dimension."""
        made = self.processor(images=image, return_tensors="pt")
        return {name: values[0] for name, values in made.items()}


class ImagePreparation:
    """Reads and prepares image files, and keeps what fits into memory.

    At laptop scale decoding costs as much as the model. Once full the cache keeps what it has: in a shuffled epoch
    every image is as likely to come next, so evicting one for another gains nothing.

    Args:
        prepare: Turns an RGB image into the model's inputs.
        layout: Says which visual tokens an image of some size becomes.
        target_prepares: Turn an RGB image into what each target encoder takes of its crops, by the name of its
            supervision.
        cache_bytes: Most memory to keep prepared images in, in bytes; each data worker has as much for itself.
        at_least: As `open_image`. Model and targets see the same decoded picture, and the layout is of its size.
    """

    def __init__(
        self,
        prepare: Callable[[Image.Image], dict[str, Tensor]],
        layout: Callable[[Size], ImageLayout],
        *,
        target_prepares: Mapping[str, Callable[[Image.Image], Tensor]] | None = None,
        cache_bytes: int = 0,
        at_least: Size | None = None,
    ) -> None:
        self.prepare = prepare
        self.layout = layout
        self.target_prepares = target_prepares or {}
        self.free_bytes = cache_bytes
        self.at_least = at_least
        self.kept: dict[Path, PreparedImage] = {}

    def __call__(self, path: Path, *, record: str) -> PreparedImage:
        """Gives the image in a file, prepared; errors are those of `open_image`."""
        if path in self.kept:
            return self.kept[path]
        image = open_image(path, record=record, at_least=self.at_least)
        prepared = PreparedImage(
            inputs=self.prepare(image),
            targets={name: prepare(image) for name, prepare in self.target_prepares.items()},
            layout=self.layout((image.height, image.width)),
        )
        size = sum(tensor.nbytes for tensor in (*prepared.inputs.values(), *prepared.targets.values()))
        if size <= self.free_bytes:
            self.free_bytes -= size
            self.kept[path] = prepared
        return prepared
