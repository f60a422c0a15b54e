"""Questions that are answered at once, with every picture among them prepared once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asvr.data.collate import batch_inputs

TOGETHER = 512
"""Tokens to read at once: of a picture, of many small ones, or of the texts behind them.

So many keep a device busy: each weight is read once for all of them, and an H100 does 300 operations in bf16 in the
time of reading a byte (990 TFLOP/s, 3.35 TB/s). More cost time on a CPU, where activations leave its caches: the SigLIP
of `benchmarks/generate.py` took 184 ms for one picture and 911 for four at once; its Llama gained nothing.
"""


@dataclass(frozen=True)
class PromptBatch:
    """Prompts and the pictures that they show.

    Args:
        prompts: Ids of each prompt up to where the model begins its answer, with the visual tokens in place.
        shown: Names of each prompt's pictures, in the order of their visual tokens.
        pictures: The model's inputs of each picture, `pixel_values` among them, by its name; without a batch dimension.
    """

    prompts: list[Int[Tensor, " _"]]
    shown: list[tuple[str, ...]]
    pictures: Mapping[str, Mapping[str, Tensor]]

    def inputs(self, *, pad_token_id: int) -> dict[str, Tensor]:
        """Gives what a stock model takes: the prompts padded, and the pictures as often as they are shown."""
        shown = [self.pictures[name] for names in self.shown for name in names]
        return pad_prompts(self.prompts, pad_token_id=pad_token_id) | (batch_inputs(shown) if shown else {})


def pad_prompts(prompts: Sequence[Int[Tensor, " _"]], *, pad_token_id: int) -> dict[str, Tensor]:
    """Pads prompts on the left, so that each answer follows its own prompt.

    Args:
        prompts: Ids.
        pad_token_id: Stands at masked positions. Which it is makes no difference, as long as it is not the image's.

    Returns:
        `input_ids` and `attention_mask`, both `(prompts, length)`.
    """
    longest = max(len(prompt) for prompt in prompts)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return {
        "input_ids": pad_sequence(list(prompts), batch_first=True, padding_value=pad_token_id, padding_side="left"),
        "attention_mask": (torch.arange(longest) >= longest - lengths[:, None]).long(),
    }


def cut_by_tokens(lengths: Sequence[int]) -> list[slice]:
    """Cuts prompts into neighbours that have at most `TOGETHER` tokens, padding and all; a longer one is alone.

    Args:
        lengths: Of the prompts, in tokens.
    """
    starts: list[int] = []
    longest = 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if not starts or longest * (place + 1 - starts[-1]) > TOGETHER:
            starts.append(place)
            longest = length
    return [slice(start, end) for start, end in pairwise([*starts, len(lengths)])]
