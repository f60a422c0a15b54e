"""Greedy answers of a saved stock model to batches of questions."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Cache,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

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

    What the model was saved with for sampling, such as a temperature or a repetition penalty, is not used.

    Args:
        folder: Where the model is.
        device: Where it runs.
        dtype: Of its weights; None keeps the one they were saved in.

    Raises:
        ValueError: If it is no vision-language model that writes on from its prompt, or its generation config does not
            say where an answer ends.
    """

    def __init__(self, folder: Path, *, device: torch.device, dtype: torch.dtype | None = None) -> None:
        _check_kind(folder)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype or "auto").eval()
        self.model.to(device)
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            raise ValueError(
                f"{folder}: the generation config has no `eos_token_id`, so answers would never end. Set it to the end "
                "token of the chat template in generation_config.json."
            )
        self.ends: list[int] = ends if isinstance(ends, list) else [ends]

    @torch.inference_mode()
    def __call__(
        self, inputs: Mapping[str, Tensor], *, max_new_tokens: int, past_key_values: Cache | None = None
    ) -> list[list[int]]:
        """Answers a batch of prompts, padded on the left so that each answer follows its own prompt.

        Args:
            inputs: What the model takes, by name: `input_ids` and `attention_mask`, both `(prompts, length)`, and what
                belongs to the pictures.
            max_new_tokens: Longest answer, in tokens.
            past_key_values: What the model has read of the prompts before, from their beginning on; it grows.

        Returns:
            For each prompt the ids before the first end token.
        """
        self.model.generation_config = GenerationConfig(
            do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=self.ends, pad_token_id=self.ends[0]
        )
        generated = self.model.generate(**self.place(inputs), past_key_values=past_key_values)
        return [self._until_end(ids) for ids in generated[:, inputs["input_ids"].shape[1] :].tolist()]

    def place(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Brings a model's inputs to its device, and those that are no whole numbers to its dtype."""
        moved = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        return {name: _cast(tensor, self.model.dtype) for name, tensor in moved.items()}

    def _until_end(self, ids: list[int]) -> list[int]:
        return ids[: next((place for place, token in enumerate(ids) if token in self.ends), len(ids))]


def _check_kind(folder: Path) -> None:
    config = AutoConfig.from_pretrained(folder)
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise ValueError(
            f"{folder}: a {config.model_type!r} model is not one that transformers loads as a vision-language model "
            "(AutoModelForImageTextToText). Give another one."
        )
    if config.is_encoder_decoder:
        raise ValueError(
            f"{folder}: a {config.model_type!r} model reads its prompt with an encoder. Give a model that writes on "
            "from its prompt (a decoder)."
        )


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
