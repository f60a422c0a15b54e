"""Any stock model's processor: from a benchmark's questions and their pictures to what the model takes."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, PreTrainedTokenizerBase, ProcessorMixin
from transformers.utils.import_utils import is_torchvision_available

from asvr.data.conversation import IMAGE_MARKER, Turn
from asvr.data.rendering import render_prompt

_PROBE = "question"
_SAVE_IT = "Save the model's processor into the folder (processor.save_pretrained)."


class ChatProcessor:
    """A model's chat template, tokenizer and image processor.

    A benchmark's message is `<image>`, a line break and text. Some chat templates write that line break themselves;
    then the message's own is left out, so that there is one. Pictures are prepared by Pillow where the processor
    allows it, so that a machine with torchvision gives the answers of one without.

    Args:
        folder: Of the model, with its processor.

    Raises:
        ValueError: If there is no processor, it cannot be loaded, or it has no chat template.
    """

    def __init__(self, folder: Path) -> None:
        self.processor = _load(folder)
        self.tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        self.chat_template = _chat_template(self.processor, folder)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            # Masked, so that any token will do.
            self.tokenizer.pad_token = self.tokenizer.eos_token
        probe = f"{IMAGE_MARKER}\n{_PROBE}"
        self.writes_break = f"\n\n{_PROBE}" in self._render_as_it_is(probe)

    def render(self, message: str) -> str:
        """Gives the text of a prompt up to where the model begins its answer.

        Args:
            message: The user's, with one `<image>` per picture.

        Raises:
            ValueError: If the chat template refuses it.
        """
        text = self.defuse(message)
        return self._render_as_it_is(text.replace(f"{IMAGE_MARKER}\n", IMAGE_MARKER) if self.writes_break else text)

    def defuse(self, message: str) -> str:
        """Puts a space into what the tokenizer would read as structure, such as an end token inside a question.

        Records are refused for it, but a benchmark's questions are not ours to change, and one in ten thousand must
        not keep a model from all the others.
        """
        first, *others = message.split(IMAGE_MARKER)
        return IMAGE_MARKER.join(_with_spaces(part, self._special_tokens) for part in (first, *others))

    def __call__(self, messages: Sequence[str], pictures: Sequence[Sequence[Image.Image]]) -> dict[str, Tensor]:
        """Makes the inputs of a batch, padded on the left.

        Args:
            messages: The user's, with one `<image>` per picture.
            pictures: RGB, those of each message in order; each message has at least one.

        Returns:
            The model's inputs by name, `input_ids` and `attention_mask`, both `(messages, length)`, among them.

        Raises:
            ValueError: If template or processor refuse a message, or one's pictures are not as many as its markers.
        """
        texts = [self.render(message) for message in messages]
        made = self.processor(
            images=[list(shown) for shown in pictures],
            text=texts,
            padding=True,
            return_tensors="pt",
            add_special_tokens=not self.has_start(texts[0]),
        )
        # PaliGemma's processor makes labels too, which only training takes.
        return {name: value for name, value in made.items() if isinstance(value, Tensor) and name != "labels"}

    def has_start(self, text: str) -> bool:
        """Says whether a rendered prompt begins with the start token, as stock code does: it must not get a second."""
        start = self.tokenizer.bos_token
        return isinstance(start, str) and text.startswith(start)

    def decode(self, ids: Sequence[int]) -> str:
        """Gives the text of an answer without special tokens, otherwise as it came."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _render_as_it_is(self, message: str) -> str:
        return render_prompt((Turn("user", message),), self.tokenizer, chat_template=self.chat_template)

    @cached_property
    def _special_tokens(self) -> list[str]:
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return [token for token in {*self.tokenizer.all_special_tokens, *added} if len(token) > 1]


def _with_spaces(text: str, tokens: Sequence[str]) -> str:
    for token in tokens:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _load(folder: Path) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(folder, backend="pil")
    except ImportError as error:
        if is_torchvision_available():
            raise
        # Processors that also take films fail in ways of their own where it is absent.
        raise ValueError(f"{folder}: its processor needs torchvision. Install it: pip install torchvision.") from error
    except (OSError, ValueError) as error:
        reason = str(error).partition(". ")[0]
        raise ValueError(f"{folder}: its processor cannot be loaded ({reason}). {_SAVE_IT}") from error
    if not isinstance(processor, ProcessorMixin):
        raise ValueError(f"{folder}: has no processor, only a {type(processor).__name__}. {_SAVE_IT}")
    return processor


def _chat_template(processor: Any, folder: Path) -> str:
    for templates in (processor.chat_template, processor.tokenizer.chat_template):
        template = templates.get("default") if isinstance(templates, dict) else templates
        if isinstance(template, str):
            return template
    raise ValueError(
        f"{folder}: neither processor nor tokenizer has a chat template, so how to ask is unknown. Save the one that "
        "the model was trained with as the processor's `chat_template`."
    )
