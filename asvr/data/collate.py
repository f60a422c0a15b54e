"""Samples to a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from asvr.data.dataset import Sample
from asvr.data.template import IGNORED


@dataclass(frozen=True)
class Collator:
    """Pads samples to the longest of them and gathers their images in reading order.

    What is padding is said by `attention_mask`, `labels` and `visual_mask`, never by looking for the padding token.

    Args:
        pad_token_id: Written where a sample has ended.
        padding_side: `right` to train, `left` to generate.
    """

    pad_token_id: int
    padding_side: Literal["right", "left"] = "right"

    @classmethod
    def for_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, padding_side: Literal["right", "left"] = "right"
    ) -> "Collator":
        """Takes the padding token from the tokenizer.

        Raises:
            ValueError: If it has none; any other choice could be a word.
        """
        pad_token_id = tokenizer.pad_token_id
        if not isinstance(pad_token_id, int):
            raise ValueError(
                "The tokenizer has no padding token. Add one with add_special_tokens({'pad_token': '<pad>'}) and "
                "resize the model's embeddings."
            )
        return cls(pad_token_id, padding_side)

    def __call__(self, groups: Sequence[Sequence[Sample]]) -> dict[str, Any]:
        """Makes a batch of what a dataset gave, group after group.

        Returns:
            `input_ids`, `attention_mask`, `labels` and `visual_mask`, each `(samples, length)`; `pixel_values`
            `(images, 3, height, width)`, absent from a batch without images; `targets`, the prepared images of each
            target encoder, `(images, ...)`, empty for a batch without images.
        """
        samples = list(chain.from_iterable(groups))
        encoded = [sample.encoded for sample in samples]
        batch: dict[str, Any] = {
            "input_ids": self._pad([one.input_ids for one in encoded], value=self.pad_token_id),
            "attention_mask": self._pad([torch.ones_like(one.input_ids) for one in encoded], value=0),
            "labels": self._pad([one.labels for one in encoded], value=IGNORED),
            "visual_mask": self._pad([one.visual_mask for one in encoded], value=False),
            "targets": _gather_targets(samples),
        }
        images = [sample.pixel_values for sample in samples if sample.pixel_values is not None]
        if images:
            batch["pixel_values"] = torch.cat(images)
        return batch

    def _pad(self, rows: list[Tensor], *, value: int | bool) -> Shaped[Tensor, "samples length"]:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.padding_side)


def _gather_targets(samples: Sequence[Sample]) -> dict[str, Tensor]:
    with_images = [sample.targets for sample in samples if sample.pixel_values is not None]
    names = with_images[0].keys() if with_images else ()
    assert all(targets.keys() == names for targets in with_images)
    return {name: torch.cat([targets[name] for targets in with_images]) for name in names}
