"""One image → what a feature source takes, by the model's own image processor."""

from pathlib import Path

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor
from transformers import AutoImageProcessor
from transformers.image_processing_utils import BaseImageProcessor


class ImagePreparer:
    """One image → normalised pixels `(3, height, width)`, by the model's own image processor.

    Args:
        processor: A stock image processor.
    """

    def __init__(self, processor: BaseImageProcessor) -> None:
        self.processor = processor

    def __call__(self, image: Image) -> Float[Tensor, "3 height width"]:
        """Resizes and normalises."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


def load_image_processor(folder: str | Path) -> BaseImageProcessor:
    """Loads an image processor in its PIL form, which needs no torchvision."""
    return AutoImageProcessor.from_pretrained(folder, backend="pil")
