"""Answers to many questions about few pictures: each picture is encoded once, and each beginning of a prompt read once.

A prompt is cut behind its last visual token. The beginnings that differ are read first, every one once, by the stock
model with features of the pictures that it has computed before. What the model keeps of them, keys and values, is then
handed to every question that begins so, and the stock `generate` goes on from there, as from any other cache.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import (
    Cache,
    DynamicCache,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from asvr.data.collate import batch_inputs
from asvr.evaluation.bursts import answer_in_bursts
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.growing_cache import GrowingLayer
from asvr.evaluation.prompt_batch import PromptBatch, pad_prompts
from asvr.models.grids import OWN_TOWERS, TOWERS

MODELS = (LlavaConfig, LlavaNextConfig)
"""Models that put the features of a picture in the place of its visual tokens, and do nothing else with them."""

LANGUAGE_MODELS = (LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)
"""Language models that read from left to right and know places by rotation: a masked gap in their cache is nothing."""

Ids = Int[Tensor, " _"]


def can_share(config: PretrainedConfig) -> bool:
    """Says whether a model answers the same when beginnings of prompts are read once; chosen by its classes.

    Args:
        config: The model's. A window of attention is refused, since it counts the padding behind a beginning.
    """
    text = config.get_text_config()
    return (
        type(config) in MODELS
        and isinstance(config.vision_config, (*TOWERS, *OWN_TOWERS))
        and type(text) in LANGUAGE_MODELS
        and not any(DynamicCache(config=text).is_sliding)
    )


class SharedPictures:
    """Answers batches of questions; of a model that cannot share, or prompts without a text behind, the ordinary way.

    The features of one batch's pictures are kept for the next one, since questions about the same pictures come one
    after another (`make_batches`): so much memory they take, and no more.

    Args:
        greedy: Answers.
    """

    def __init__(self, greedy: GreedyModel) -> None:
        self.greedy = greedy
        self.shares = can_share(greedy.model.config)
        self.features: dict[str, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, batch: PromptBatch, *, max_new_tokens: int) -> list[list[int]]:
        """Answers a batch.

        Args:
            batch: The questions.
            max_new_tokens: Longest answer, in tokens.

        Returns:
            For each prompt the ids before the first end token.
        """
        ends = [self._end_of_beginning(prompt) for prompt in batch.prompts]
        if not self.shares or any(end == len(prompt) for end, prompt in zip(ends, batch.prompts, strict=True)):
            return self.greedy(batch.inputs(pad_token_id=self.greedy.ends[0]), max_new_tokens=max_new_tokens)
        cut = list(zip(batch.prompts, ends, strict=True))
        begun = [(tuple(prompt[:end].tolist()), names) for (prompt, end), names in zip(cut, batch.shown, strict=True)]
        distinct = list(dict.fromkeys(begun))
        rows = torch.tensor([distinct.index(each) for each in begun])
        heads = self._pad([torch.tensor(ids) for ids, _ in distinct])
        self._encode(batch)
        cache = self._read(heads, [name for _, names in distinct for name in names])
        cache.batch_select_indices(rows.to(self.greedy.model.device))
        tails = self._pad([prompt[end:] for prompt, end in cut])
        inputs = {name: torch.cat([heads[name][rows], tails[name]], dim=1) for name in heads}
        return answer_in_bursts(self.greedy, inputs, cache, max_new_tokens=max_new_tokens)

    def _end_of_beginning(self, prompt: Ids) -> int:
        """Cuts behind the last visual token; what shows no picture shares its first token, which changes nothing."""
        places = (prompt == self.greedy.model.config.image_token_id).nonzero()
        return int(places[-1]) + 1 if len(places) else 1

    def _pad(self, prompts: Sequence[Ids]) -> dict[str, Tensor]:
        return pad_prompts(prompts, pad_token_id=self.greedy.ends[0])

    def _encode(self, batch: PromptBatch) -> None:
        """Computes the features of pictures that the last batch did not show, and forgets those that only it showed."""
        shown = dict.fromkeys(name for names in batch.shown for name in names)
        new = [name for name in shown if name not in self.features]
        if new:
            inputs = self.greedy.place(batch_inputs([batch.pictures[name] for name in new]))
            found = self.greedy.model.get_image_features(**inputs, return_dict=True).pooler_output
            # Copies: a view into the batch would keep all of it in memory.
            self.features |= {name: each.clone() for name, each in zip(new, found, strict=True)}
        self.features = {name: self.features[name] for name in shown}

    def _read(self, heads: dict[str, Tensor], names: Sequence[str]) -> Cache:
        """Lets the model read the beginnings, without its text head, and gives what it keeps of them."""
        model = self.greedy.model
        cache = Cache(layer_class_to_replicate=GrowingLayer)
        # One tensor a picture, as `get_image_features` gives it.
        pooler_output: Any = [self.features[name] for name in names]
        features = BaseModelOutputWithPooling(pooler_output=pooler_output)
        placed = self.greedy.place(heads)
        model.model(
            **placed,
            # As `generate` counts them: padding has no place.
            position_ids=(placed["attention_mask"].cumsum(dim=1) - 1).clamp(min=0),
            mm_encoder_outputs={"image": features} if names else None,
            past_key_values=cache,
        )
        return cache
