"""A conversation as one string and its tokens, with the part that the model must produce marked in both."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from jinja2.exceptions import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from asvr.data.conversation import IMAGE_MARKER, Turn


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Writes turns as Hugging Face messages, with typed parts where the `<image>` markers are."""
    return [{"role": turn.role, "content": _parts(turn.text)} for turn in turns]


def render(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, *, chat_template: str
) -> tuple[str, list[tuple[int, int]]]:
    """Gives the text of a conversation and the spans of characters in it that the model must produce.

    Raises:
        ValueError: If the template marks no such spans or refuses the turns, or a turn holds a special token.
    """
    if not re.search(r"{%-?\s*generation\s*-?%}", chat_template):
        raise ValueError(
            "the chat template does not say what the model must produce. Put {% generation %} and {% endgeneration %} "
            "around the answer and its end token, or use one of asvr.data.templates.TEMPLATES."
        )
    texts, spans = _render(turns, tokenizer, chat_template=chat_template, return_assistant_tokens_mask=True)
    return texts[0], spans[0]


def render_prompt(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, *, chat_template: str) -> str:
    """Gives the text up to where the model begins its answer to the last turn.

    Raises:
        ValueError: If the template refuses the turns, or a turn holds a special token.
    """
    texts, _ = _render(turns, tokenizer, chat_template=chat_template, add_generation_prompt=True)
    return texts[0]


def tokenize(
    text: str, tokenizer: PreTrainedTokenizerBase, *, spans: Sequence[tuple[int, int]]
) -> tuple[Int[Tensor, " tokens"], Bool[Tensor, " tokens"]]:
    """Gives the ids of a rendered text, and which tokens share a character with one of the spans.

    Raises:
        ValueError: If the tokenizer is not a fast one.
    """
    if not tokenizer.is_fast:
        kind = type(tokenizer).__name__
        raise ValueError(f"a {kind} cannot say where a token stands in the text. Use a fast tokenizer.")
    # The template has written the start token; the length is checked once images have taken their room.
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    starts, ends = torch.tensor(encoding["offset_mapping"], dtype=torch.long).reshape(-1, 2).unbind(1)
    supervised = torch.zeros(len(starts), dtype=torch.bool)
    for start, end in spans:
        supervised |= (starts < end) & (ends > start)
    return torch.tensor(encoding["input_ids"], dtype=torch.long), supervised


def _parts(text: str) -> list[dict[str, str]]:
    first, *others = text.split(IMAGE_MARKER)
    parts = [{"type": "text", "text": first}]
    for other in others:
        parts += [{"type": "image"}, {"type": "text", "text": other}]
    return [part for part in parts if part["type"] == "image" or part["text"]]


def _render(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, **options: Any) -> Any:
    _check_turns(turns, tokenizer)
    options.update(tokenizer.special_tokens_map)
    try:
        return render_jinja_template([messages(turns)], **options)
    except TemplateError as error:
        raise ValueError(f"the chat template refuses it: {error}. Choose another template for it.") from error


def _check_turns(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses text that the tokenizer would read as structure, such as an end token inside a question."""
    # Llama-3 lists its start and end token alone as special; the ends of its headers are among the added ones.
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    for turn in turns:
        text = turn.text.replace(IMAGE_MARKER, "\n")
        for token in {*tokenizer.all_special_tokens, *added}:
            if token in text:
                raise ValueError(
                    f"its text holds the special token {token!r}, which the model would take for structure. "
                    "Write it differently, for example with a space inside, or leave the record out."
                )
