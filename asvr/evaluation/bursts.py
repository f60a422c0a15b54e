"""Answers that go on from a cache, a burst of tokens at a time; questions that are answered leave the batch."""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import Cache

from asvr.evaluation.greedy import GreedyModel

BURST = 8
"""Tokens between two looks at who has ended. Stock `generate` computes every answer for as long as the longest."""


def answer_in_bursts(
    greedy: GreedyModel, inputs: Mapping[str, Tensor], cache: Cache, *, max_new_tokens: int
) -> list[list[int]]:
    """Answers a batch of prompts whose beginnings the model has read.

    Args:
        greedy: Answers.
        inputs: `input_ids` and `attention_mask` of the whole prompts, both `(prompts, length)`.
        cache: What the model has read of each, fewer tokens than the prompts have; it is used up.
        max_new_tokens: Longest answer, in tokens.

    Returns:
        For each prompt the ids before the first end token.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    said: list[list[int]] = [[] for _ in ids]
    asking, written = torch.arange(len(ids)), 0
    while len(asking) and written < max_new_tokens:
        burst = min(BURST, max_new_tokens - written)
        found = greedy({"input_ids": ids, "attention_mask": mask}, max_new_tokens=burst, past_key_values=cache)
        for row, tokens in zip(asking.tolist(), found, strict=True):
            said[row] += tokens
        # An end token is not among them, so that an answer that has ended is short.
        going = torch.tensor([place for place, tokens in enumerate(found) if len(tokens) == burst], dtype=torch.long)
        new = torch.tensor([found[place] for place in going], dtype=torch.long).view(len(going), burst)
        ids, mask = torch.cat([ids[going], new], dim=1), torch.cat([mask[going], torch.ones_like(new)], dim=1)
        if len(going) < len(asking):
            cache.batch_select_indices(going.to(greedy.model.device))
        asking, written = asking[going], written + burst
    return said
