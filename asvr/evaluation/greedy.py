"""Greedy answers of a saved stock model to batches of questions."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from asvr.data.collate import batch_inputs
from asvr.data.images import ImagePreparation, ModelInputs
from asvr.models.grids import image_layout


def load_tokenizer(folder: Path) -> tuple[PreTrainedTokenizerBase, str]:
    """Loads the tokenizer of a saved model and its chat template.

    Raises:
        FileNotFoundError: If there is no model in the folder.
        ValueError: If the tokenizer has not exactly one chat template, or nothing to pad with.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no model here (no config.json). Give a folder that training has saved.")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not isinstance(tokenizer.chat_template, str):
        raise ValueError(
            f"{folder}: must have one chat template, but has {tokenizer.chat_template!r}, so how to ask is unknown. "
            "Save the one that the model was trained with as the tokenizer's `chat_template`."
        )
    if tokenizer.pad_token_id is None:
        raise ValueError(f"{folder}: the tokenizer has no padding token. Set its `pad_token` and save it again.")
    return tokenizer, tokenizer.chat_template


def load_image_preparation(folder: Path, *, cache_bytes: int) -> ImagePreparation:
    """Loads what turns image files into the tensors that a saved model takes."""
    # Its PIL form, as in training: torchvision resizes a little differently.
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    layout = partial(image_layout, AutoConfig.from_pretrained(folder))
    return ImagePreparation(ModelInputs(processor), layout, cache_bytes=cache_bytes)


class GreedyModel:
    """A saved model that answers with the likeliest token at every step.

    The model keeps the dtype it was saved in. What it was saved with for sampling, such as a temperature or a
    repetition penalty, is not used.

    Args:
        folder: Where the model is.
        tokenizer: The model's, with a padding token.
        max_new_tokens: Longest answer, in tokens.
        device: Where it runs.

    Raises:
        ValueError: If the model's generation config does not say where an answer ends.
    """

    def __init__(
        self, folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_new_tokens: int, device: torch.device
    ) -> None:
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
        self.model.to(device)
        self.tokenizer = tokenizer
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            raise ValueError(
                f"{folder}: the generation config has no `eos_token_id`, so answers would never end. Set it to the end "
                "token of the chat template in generation_config.json."
            )
        self.ends: list[int] = ends if isinstance(ends, list) else [ends]
        self.config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=self.ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.model.generation_config = self.config

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Int[Tensor, " _"]], images: Sequence[Mapping[str, Tensor]]) -> list[str]:
        """Answers a batch of prompts, padded on the left so that each answer follows its own prompt.

        Args:
            prompts: Ids with the visual tokens in place.
            images: The model's inputs of each image of all prompts, in reading order.

        Returns:
            For each prompt the text before the first end token, special tokens and white space as they came.
        """
        # Which id stands at masked positions makes no difference, as long as it is not the image token's.
        input_ids = pad_sequence(list(prompts), batch_first=True, padding_value=self.ends[0], padding_side="left")
        longest = input_ids.shape[1]
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        inputs = {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(longest) >= longest - lengths[:, None]).long(),
        }
        if images:
            inputs |= batch_inputs(images)
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        generated = self.model.generate(**{name: tensor.to(self.model.device) for name, tensor in inputs.items()})
        return [self._text(ids) for ids in generated[:, longest:].tolist()]

    def _text(self, ids: list[int]) -> str:
        end = next((place for place, token in enumerate(ids) if token in self.ends), len(ids))
        return str(self.tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False))
