"""A benchmark's questions as prompts with every picture prepared once, by the stock processors of LLaVA."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlavaNextProcessor, LlavaProcessor

from asvr.data.images import open_image
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.prompt_batch import PromptBatch
from asvr.evaluation.questions import Question, QuestionSet

PROCESSORS = (LlavaProcessor, LlavaNextProcessor)
"""Those that write a picture's visual tokens where its marker was, and nothing else."""


class _Seen(NamedTuple):
    inputs: dict[str, Tensor]
    num_tokens: int


class ChatPictures:
    """Makes prompts of a benchmark's questions; pictures of one batch are kept for the next one.

    Args:
        chat: The model's; its processor is one of `PROCESSORS`.
        asked: Has the pictures.
    """

    def __init__(self, chat: ChatProcessor, asked: QuestionSet) -> None:
        self.chat = chat
        self.asked = asked
        self.seen: dict[str, _Seen] = {}

    def __call__(self, batch: Sequence[Question]) -> PromptBatch:
        """Makes the prompts of some questions.

        Args:
            batch: Of `asked`.

        Raises:
            ValueError: If a picture cannot be read, the template refuses a question, or one's pictures are not as many
                as its markers.
        """
        shown = {name: question.id for question in batch for name in question.images}
        self.seen = {name: self.seen.get(name) or self._see(name, record) for name, record in shown.items()}
        texts = [self.chat.render(question.text) for question in batch]
        written = [self._write(text, question) for text, question in zip(texts, batch, strict=True)]
        ids = self.chat.tokenizer(written, add_special_tokens=not self.chat.has_start(texts[0]))["input_ids"]
        return PromptBatch(
            prompts=[torch.tensor(each) for each in ids],
            shown=[question.images for question in batch],
            pictures={name: seen.inputs for name, seen in self.seen.items()},
        )

    def _see(self, name: str, record: str) -> _Seen:
        """Prepares a picture, and counts the visual tokens that the processor writes for it."""
        picture = open_image(BytesIO(self.asked.open(name)), record=record)
        processor = self.chat.processor
        made = processor(images=[[picture]], text=[processor.image_token], return_tensors="pt")
        inputs = {key: value[0] for key, value in made.items() if key not in self.chat.tokenizer.model_input_names}
        return _Seen(inputs, int((made["input_ids"] == processor.image_token_id).sum()))

    def _write(self, text: str, question: Question) -> str:
        token = self.chat.processor.image_token
        first, *others = text.split(token)
        if len(others) != len(question.images):
            raise ValueError(
                f"question {question.id!r}: the chat template writes {len(others)} pictures for its "
                f"{len(question.images)}. Save the template that the model was trained with."
            )
        counts = [self.seen[name].num_tokens for name in question.images]
        return first + "".join(token * count + other for count, other in zip(counts, others, strict=True))
