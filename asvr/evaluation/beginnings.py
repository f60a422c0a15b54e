"""Beginnings of prompts, up to their last picture: each picture is encoded once, and each beginning read once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

from asvr.data.collate import batch_inputs
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.prompt_batch import cut_by_tokens, pad_prompts

Beginning = tuple[tuple[int, ...], tuple[str, ...]]
"""Ids, and the names of the pictures whose visual tokens are among them."""

Kept = list[tuple[Tensor, Tensor]]
"""Keys and values of every layer, each `(heads, length, width)`."""


class BeginningReader:
    """Lets a model read beginnings of prompts, and keeps what the next batch may need again.

    Questions about the same picture come one after another (`make_batches`). So what outlasts a batch is the features
    of its pictures, and what the model keeps of the beginning read last.

    Args:
        greedy: Reads.
    """

    def __init__(self, greedy: GreedyModel) -> None:
        self.greedy = greedy
        self.features: dict[str, Tensor] = {}
        self.last: dict[Beginning, Kept] = {}

    def __call__(
        self, beginnings: Sequence[Beginning], pictures: Mapping[str, Mapping[str, Tensor]]
    ) -> Iterator[tuple[Beginning, Kept]]:
        """Reads beginnings.

        Args:
            beginnings: Of one batch, in its order; each once.
            pictures: The model's inputs of each picture, by its name.

        Yields:
            A beginning, and what the model keeps of it, for the caller to copy: few are in memory at a time.
        """
        shown = {name for _, names in beginnings for name in names}
        self.features = {name: each for name, each in self.features.items() if name in shown}
        known = {each: self.last[each] for each in beginnings if each in self.last}
        yield from known.items()
        new = [each for each in beginnings if each not in known]
        for rows in cut_by_tokens([len(ids) for ids, _ in new]):
            group = new[rows]
            self._encode({name: pictures[name] for _, names in group for name in names})
            for beginning, kept in zip(group, self._read(group), strict=True):
                self.last = {beginning: kept}
                yield beginning, kept

    def _encode(self, pictures: Mapping[str, Mapping[str, Tensor]]) -> None:
        new = [name for name in pictures if name not in self.features]
        if new:
            inputs = self.greedy.place(batch_inputs([pictures[name] for name in new]))
            found = self.greedy.model.get_image_features(**inputs, return_dict=True).pooler_output
            # Copies: a view into the batch would keep all of it in memory.
            self.features |= {name: each.clone() for name, each in zip(new, found, strict=True)}

    def _read(self, group: Sequence[Beginning]) -> list[Kept]:
        """Lets the stock model read, without its text head."""
        inputs = pad_prompts([torch.tensor(ids) for ids, _ in group], pad_token_id=self.greedy.ends[0])
        placed = self.greedy.place(inputs)
        # One tensor a picture, as `get_image_features` gives it.
        pooler_output: Any = [self.features[name] for _, names in group for name in names]
        features = BaseModelOutputWithPooling(pooler_output=pooler_output)
        cache = DynamicCache()
        self.greedy.model.model(
            **placed,
            # As `generate` counts them: padding has no place.
            position_ids=(placed["attention_mask"].cumsum(dim=1) - 1).clamp(min=0),
            mm_encoder_outputs={"image": features} if pooler_output else None,
            past_key_values=cache,
        )
        # Keys, values and the window of each layer; there is none (`can_share`).
        layers: list[Any] = list(cache)
        return [
            [(keys[row, :, -len(ids) :], values[row, :, -len(ids) :]) for keys, values, _ in layers]
            for row, (ids, _) in enumerate(group)
        ]
