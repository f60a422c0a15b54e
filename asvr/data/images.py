"""Image files as the tensors that models take."""

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from PIL import Image
from torch import Tensor


class PreparedImage(NamedTuple):
    """One image, ready for the vision tower and the target encoders.

    Args:
        pixel_values: What the vision tower takes.
        targets: What each target encoder takes, by the name of its supervision.
    """

    pixel_values: Float[Tensor, "3 height width"]
    targets: dict[str, Tensor]


def open_image(file: Path | BytesIO, *, record: str) -> Image.Image:
    """Reads an image file in full, as RGB.

    As in LLaVA, transparency is dropped, not blended, and the orientation noted by a camera is not applied.

    Args:
        file: The file, or its bytes.
        record: Id of the record that shows it, for the error.

    Raises:
        ValueError: If the file is missing, cut short or no image.
    """
    try:
        with Image.open(file) as image:
            image.load()
            # Straight to RGB, a palette with transparency warns.
            return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise ValueError(
            f"{file if isinstance(file, Path) else 'bytes'}: record {record!r} needs this image, but it cannot be read "
            f"({error}). Fetch the file again, or leave the record out."
        ) from error


class ImagePreparation:
    """Reads and prepares image files, and keeps what fits into memory.

    At laptop scale decoding costs as much as the model. Once full the cache keeps what it has: in a shuffled epoch
    every image is as likely to come next, so evicting one for another gains nothing.

    Args:
        prepare: Turns an RGB image into what the vision tower takes.
        target_prepares: Turn an RGB image into what each target encoder takes, by the name of its supervision.
        cache_bytes: Most memory to keep prepared images in, in bytes; each data worker has as much for itself.
    """

    def __init__(
        self,
        prepare: Callable[[Image.Image], Tensor],
        target_prepares: Mapping[str, Callable[[Image.Image], Tensor]],
        *,
        cache_bytes: int = 0,
    ) -> None:
        self.prepare = prepare
        self.target_prepares = target_prepares
        self.free_bytes = cache_bytes
        self.kept: dict[Path, PreparedImage] = {}

    def __call__(self, path: Path, *, record: str) -> PreparedImage:
        """Gives the image in a file, prepared; errors are those of `open_image`."""
        if path in self.kept:
            return self.kept[path]
        image = open_image(path, record=record)
        prepared = PreparedImage(
            self.prepare(image), {name: prepare(image) for name, prepare in self.target_prepares.items()}
        )
        size = sum(tensor.nbytes for tensor in (prepared.pixel_values, *prepared.targets.values()))
        if size <= self.free_bytes:
            self.free_bytes -= size
            self.kept[path] = prepared
        return prepared
