"""What several tests of the data layer make samples with."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset
from asvr.data.images import ImagePreparation
from asvr.data.layout import ImageLayout
from asvr.data.template import Encoded, encode
from asvr.data.templates import TEMPLATES

NUM_VISUAL = 3


def pixels(image: Image) -> dict[str, Tensor]:
    return {"pixel_values": mean_colour(image)}


def plain(size: tuple[int, int]) -> ImageLayout:
    return ImageLayout.plain(NUM_VISUAL)


def crops(image: Image) -> Tensor:
    """A target encoder's view: one crop."""
    return mean_colour(image)[None]


def mean_colour(image: Image) -> Tensor:
    """Gives the first pixel's colour as a picture of one pixel, in 0 to 1."""
    return torch.tensor(image.getpixel((0, 0))).reshape(3, 1, 1) / 255


def encoder(tokenizer: PreTrainedTokenizerFast, template: str = "mistral") -> Callable[[Conversation], Encoded]:
    return partial(_encode, tokenizer=tokenizer, template=template)


def dataset(
    conversations: list[Conversation], tokenizer: PreTrainedTokenizerFast, *, cache_bytes: int = 0, **options: Any
) -> ConversationDataset:
    images = ImagePreparation(pixels, plain, target_prepares={"semantic": crops}, cache_bytes=cache_bytes)
    return ConversationDataset(conversations, encode=encoder(tokenizer), images=images, **options)


def _encode(conversation: Conversation, *, tokenizer: PreTrainedTokenizerFast, template: str) -> Encoded:
    return encode(
        conversation,
        tokenizer,
        chat_template=TEMPLATES[template],
        image_token="<image>",
        tokens_per_image=[NUM_VISUAL] * len(conversation.images),
        max_length=512,
    )
