"""Samples to a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from asvr.data.dataset import Sample
from asvr.data.images import PreparedImage
from asvr.data.layout import target_index
from asvr.data.template import IGNORED


@dataclass(frozen=True)
class Collator:
    """Pads samples to the longest of them and gathers their images in reading order.

    What is padding is said by `attention_mask`, `labels` and `visual_mask`, never by looking for the padding token.

    Args:
        pad_token_id: Written where a sample has ended.
        padding_side: `right` to train, `left` to generate.
        sources: What the samples' sources are called, to say of which each row is; none does not say it.
    """

    pad_token_id: int
    padding_side: Literal["right", "left"] = "right"
    sources: tuple[str, ...] = ()

    @classmethod
    def for_tokenizer(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        *,
        padding_side: Literal["right", "left"] = "right",
        sources: tuple[str, ...] = (),
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
        return cls(pad_token_id, padding_side, sources)

    def __call__(self, groups: Sequence[Sequence[Sample]]) -> dict[str, Any]:
        """Makes a batch of what a dataset gave, group after group.

        Returns:
            `input_ids`, `attention_mask`, `labels` and `visual_mask`, each `(samples, length)`; `targets`, the prepared
            images of each target encoder, `(crops, ...)`, empty for a batch without images. A batch with images has
            the model's inputs besides, `pixel_values` among them, as `batch_inputs` gives them; and `target_index`,
            `(tokens with a target,)`, where these are not just all positions in order. `source`, `(samples,)`, is each
            row's place in `sources`, where there are any.
        """
        samples = list(chain.from_iterable(groups))
        encoded = [sample.encoded for sample in samples]
        images = [image for sample in samples for image in sample.images]
        batch: dict[str, Any] = {
            "input_ids": self._pad([one.input_ids for one in encoded], value=self.pad_token_id),
            "attention_mask": self._pad([torch.ones_like(one.input_ids) for one in encoded], value=0),
            "labels": self._pad([one.labels for one in encoded], value=IGNORED),
            "visual_mask": self._pad([one.visual_mask for one in encoded], value=False),
            "targets": _gather_targets(images),
        }
        if self.sources:
            batch["source"] = torch.tensor([self.sources.index(sample.source) for sample in samples])
        if images:
            batch |= batch_inputs([image.inputs for image in images])
        index = target_index([image.layout for image in images])
        return batch if index is None else {**batch, "target_index": index}

    def _pad(self, rows: list[Tensor], *, value: int | bool) -> Shaped[Tensor, "samples length"]:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.padding_side)


def batch_inputs(inputs: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stacks the model's inputs of single images; where they have unequally many crops, zeros fill up the shorter."""
    return {name: pad_sequence([one[name] for one in inputs], batch_first=True) for name in inputs[0]}


def _gather_targets(images: Sequence[PreparedImage]) -> dict[str, Tensor]:
    names = images[0].targets.keys() if images else ()
    assert all(image.targets.keys() == names for image in images)
    return {name: torch.cat([image.targets[name] for image in images]) for name in names}
