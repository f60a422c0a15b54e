"""Answers that go on from a cache, token by token; a question that is answered leaves the batch at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import Cache

from asvr.evaluation.greedy import GreedyModel


def next_tokens(
    greedy: GreedyModel,
    ids: Int[Tensor, "questions new"],
    mask: Int[Tensor, "questions length"],
    cache: Cache,
) -> Int[Tensor, " questions"]:
    """Reads on, and gives the likeliest token of each question, as stock `generate` chooses it.

    Args:
        greedy: Reads.
        ids: What is new.
        mask: Of all that has been read and what is new: 0 at padding, wherever it is.
        cache: What has been read; it grows.
    """
    # As `generate` counts them: padding has no place.
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    seen = greedy.model(
        input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=1
    )
    return seen.logits[:, -1].float().argmax(dim=-1)


def write_answers(
    greedy: GreedyModel,
    new: Int[Tensor, " questions"],
    mask: Int[Tensor, "questions length"],
    cache: Cache,
    *,
    max_new_tokens: int,
) -> list[list[int]]:
    """Answers a batch of prompts that the model has read, as stock `generate` would.

    That computes every answer for as long as the longest.

    Args:
        greedy: Answers.
        new: First token of each answer.
        mask: Of the prompts: 0 at padding, wherever it is.
        cache: What the model has read of each; it is used up.
        max_new_tokens: Longest answer, in tokens.

    Returns:
        For each prompt the ids before the first end token.
    """
    ends, length = frozenset(greedy.ends), mask.shape[1]
    said: list[list[int]] = [[] for _ in new]
    asking = list(range(len(new)))
    mask = torch.cat([mask, mask.new_ones(len(new), max_new_tokens)], dim=1)
    for end in range(length + 1, length + max_new_tokens + 1):
        tokens = new.tolist()
        going = [token not in ends for token in tokens]
        for question, token, goes in zip(asking, tokens, going, strict=True):
            said[question] += [token] * goes
        if not any(going) or end == length + max_new_tokens:
            break
        if not all(going):
            stay = close_gaps(going)
            rows = torch.tensor(stay, device=new.device)
            cache.batch_select_indices(rows)
            asking, new, mask = [asking[row] for row in stay], new[rows], mask[rows]
        new = next_tokens(greedy, new[:, None], mask[:, :end], cache)
    return said


def close_gaps(going: Sequence[bool]) -> list[int]:
    """Says which places to keep so that few move: the last ones fill the gaps.

    Args:
        going: Whether what is at each place goes on.

    Returns:
        For each place that is left, the place of what comes there.
    """
    count = sum(going)
    last = iter([place for place in range(count, len(going)) if going[place]])
    return [place if going[place] else next(last) for place in range(count)]
