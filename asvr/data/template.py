"""From a conversation to ids and labels, by a chat template that is saved with the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from asvr.data.conversation import Conversation, Turn
from asvr.data.rendering import render, render_prompt, tokenize
from asvr.data.templates import START

IGNORED = -100
"""Label of a position without text loss, as Hugging Face spells it."""


@dataclass(frozen=True)
class Encoded:
    """One conversation as the model reads it.

    Args:
        input_ids: Ids, with as many copies of the image token as an image has visual tokens.
        labels: The id itself where the model must produce it, -100 elsewhere; not shifted, as Hugging Face has it.
        visual_mask: True at visual tokens.
        truncated: Whether text was cut off at the end.
    """

    input_ids: Int[Tensor, " length"]
    labels: Int[Tensor, " length"]
    visual_mask: Bool[Tensor, " length"]
    truncated: bool

    @property
    def num_supervised(self) -> int:
        """Counts the tokens with a text loss."""
        return int((self.labels != IGNORED).sum())


def encode(
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    *,
    chat_template: str,
    image_token: str,
    tokens_per_image: Sequence[int],
    max_length: int,
) -> Encoded:
    """Turns a conversation into ids, labels and the mask of visual tokens.

    The conversation is rendered and tokenized once, as a whole: pieces tokenized apart and joined differ from what the
    model reads when it answers. A token has a label if any of its characters lies in an answer, so one that straddles
    a boundary is supervised. Images without text become the start token (a line break where the tokenizer has none, so
    that the first visual token has a token before it) and the visual tokens.

    Args:
        conversation: What to encode.
        tokenizer: A fast tokenizer, since labels need each token's place in the text.
        chat_template: Jinja with `{% generation %}` around what the model must produce.
        image_token: What the template writes for an image; one token of the tokenizer.
        tokens_per_image: Number of visual tokens of each image.
        max_length: Longest sequence, in tokens; what is longer loses text at its end, never part of an image.

    Raises:
        ValueError: If template, tokenizer and conversation do not fit each other, or the conversation does not fit
            into `max_length` with all its images and at least one token to learn; the message names the conversation.
    """
    try:
        image_id = _image_id(tokenizer, image_token)
        if conversation.turns:
            ids, supervised = _encode_turns(conversation.turns, tokenizer, chat_template=chat_template)
        else:
            ids = _image_ids(tokenizer, image_id, num_images=len(conversation.images))
            supervised = torch.zeros_like(ids, dtype=torch.bool)
        repeats = _repeats(ids == image_id, image_token=image_token, tokens_per_image=tokens_per_image)
        input_ids, supervised = ids.repeat_interleave(repeats), supervised.repeat_interleave(repeats)
        visual_mask = input_ids == image_id
        _check_length(supervised, visual_mask, max_length=max_length)
    except ValueError as error:
        raise ValueError(f"conversation {conversation.id!r}: {error}") from error
    labels = input_ids.masked_fill(~supervised, IGNORED)
    truncated = len(input_ids) > max_length
    return Encoded(input_ids[:max_length], labels[:max_length], visual_mask[:max_length], truncated=truncated)


def encode_prompt(
    question: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    chat_template: str,
    image_token: str,
    tokens_per_image: Sequence[int],
) -> Int[Tensor, " length"]:
    """Gives the ids up to where the model begins its answer: a prefix of what `encode` gives for that question.

    Args:
        question: Text with one `<image>` for each image.
        tokenizer: As in `encode`.
        chat_template: As in `encode`; it need not mark what the model produces.
        image_token: As in `encode`.
        tokens_per_image: Number of visual tokens of each image of the question.

    Raises:
        ValueError: If the template or the tokenizer does not fit the question; the message names the question.
    """
    try:
        image_id = _image_id(tokenizer, image_token)
        text = render_prompt((Turn("user", question),), tokenizer, chat_template=chat_template)
        ids, _ = tokenize(text, tokenizer, spans=())
        repeats = _repeats(ids == image_id, image_token=image_token, tokens_per_image=tokens_per_image)
    except ValueError as error:
        raise ValueError(f"question {question!r}: {error}") from error
    return ids.repeat_interleave(repeats)


def _encode_turns(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, *, chat_template: str
) -> tuple[Int[Tensor, " tokens"], Bool[Tensor, " tokens"]]:
    text, spans = render(turns, tokenizer, chat_template=chat_template)
    ids, supervised = tokenize(text, tokenizer, spans=spans)
    if not supervised.any():
        raise ValueError(
            f"no token to learn in {len(turns) // 2} answer(s). The chat template's {{% generation %}} block must "
            "enclose the assistant's content, and the tokenizer must have tokens for it."
        )
    return ids, supervised


def _image_id(tokenizer: PreTrainedTokenizerBase, image_token: str) -> int:
    image_id = tokenizer.convert_tokens_to_ids(image_token)
    if not isinstance(image_id, int) or tokenizer.convert_ids_to_tokens(image_id) != image_token:
        raise ValueError(f"the tokenizer has no token {image_token!r}. Add it with add_special_tokens before encoding.")
    return image_id


def _image_ids(tokenizer: PreTrainedTokenizerBase, image_id: int, *, num_images: int) -> Int[Tensor, " tokens"]:
    bos = tokenizer.bos_token_id
    start = tokenize(START, tokenizer, spans=())[0] if bos is None else torch.tensor([bos])
    return torch.cat([start, torch.full((num_images,), image_id)])


def _repeats(
    is_image: Bool[Tensor, " tokens"], *, image_token: str, tokens_per_image: Sequence[int]
) -> Int[Tensor, " tokens"]:
    """Gives how often each token is written: once, or as often as its image has visual tokens."""
    num_found = int(is_image.sum())
    if num_found != len(tokens_per_image):
        raise ValueError(
            f"{len(tokens_per_image)} image(s), but the tokenizer finds {image_token!r} {num_found} time(s) in the "
            "rendered text. The chat template must write that token once for each image."
        )
    assert all(count > 0 for count in tokens_per_image)
    repeats = torch.ones(len(is_image), dtype=torch.long)
    repeats[is_image] = torch.tensor(tokens_per_image, dtype=torch.long)
    return repeats


def _check_length(
    supervised: Bool[Tensor, " length"], visual_mask: Bool[Tensor, " length"], *, max_length: int
) -> None:
    last_visual = visual_mask.nonzero().flatten()[-1:].tolist()
    first_supervised = supervised.nonzero().flatten()[:1].tolist()
    needed = 1 + max(last_visual + first_supervised)
    if needed > max_length:
        raise ValueError(
            f"{needed} of its {len(supervised)} tokens are needed to keep its images whole and one token to learn, but "
            f"the limit is {max_length}. Raise the maximum length, or leave the record out."
        )
