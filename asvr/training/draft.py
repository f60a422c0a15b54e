"""How large a picture must be decoded for all that look at it."""

import math
from collections.abc import Callable, Iterable

from PIL.Image import Image
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor

from asvr.data.images import Size
from asvr.targets.naflex import NaFlexPreparer
from asvr.targets.preparing import ImagePreparer


def draft_size(
    draft: float | None, processor: BaseImageProcessor, prepares: Iterable[Callable[[Image], Tensor]]
) -> Size | None:
    """Gives the least size that pictures are decoded at: a multiple of the largest that they are resized to.

    Args:
        draft: How large a multiple; None decodes in full.
        processor: The model's image processor.
        prepares: What prepares the same decoded pictures for target encoders.

    Returns:
        Height and width in pixels; None where pictures are decoded in full.

    Raises:
        ValueError: If one of them resizes pictures by their proportions or their number of pixels.
    """
    if draft is None:
        return None
    own = [prepare.processor for prepare in prepares if isinstance(prepare, (ImagePreparer, NaFlexPreparer))]
    heights, widths = zip(*(resized_size(each) for each in (processor, *own)), strict=True)
    return math.ceil(draft * max(heights)), math.ceil(draft * max(widths))


def resized_size(processor: BaseImageProcessor) -> Size:
    """Gives the height and width in pixels that an image processor resizes pictures to, before it crops, at least.

    Raises:
        ValueError: If these are not fixed.
    """
    sides = processor.to_dict().get("size") or {}
    size = {name: side for name, side in sides.items() if side is not None}
    if "height" in size and "width" in size:
        return size["height"], size["width"]
    if set(size) == {"shortest_edge"}:
        return size["shortest_edge"], size["shortest_edge"]
    raise ValueError(
        f"{type(processor).__name__} resizes pictures to {size or 'no one size'}, so it cannot be said how large they "
        "must be decoded: set draft=none"
    )
