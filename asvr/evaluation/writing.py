"""Answers that go on from a cache, token by token; a question that is answered leaves the batch at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import Cache

from asvr.evaluation.greedy import GreedyModel


def write_answers(
    greedy: GreedyModel,
    ids: Int[Tensor, "questions unread"],
    mask: Int[Tensor, "questions length"],
    cache: Cache,
    *,
    max_new_tokens: int,
) -> list[list[int]]:
    """Answers a batch of prompts whose beginnings the model has read, as stock `generate` would.

    That computes every answer for as long as the longest, and ids, masks and caches of new sizes at every token.

    Args:
        greedy: Answers.
        ids: What has not been read of each prompt, padded on the left.
        mask: Of the whole prompts: 0 at padding, which may lie between a beginning and the rest too.
        cache: What the model has read, `length - unread` positions of each prompt; it is used up.
        max_new_tokens: Longest answer, in tokens.

    Returns:
        For each prompt the ids before the first end token.
    """
    ends, length = frozenset(greedy.ends), mask.shape[1]
    said: list[list[int]] = [[] for _ in ids]
    asking = list(range(len(ids)))
    # As `generate` counts them: padding has no place.
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    mask = torch.cat([mask, mask.new_ones(len(ids), max_new_tokens)], dim=1)
    for end in range(length, length + max_new_tokens):
        seen = greedy.model(
            input_ids=ids,
            attention_mask=mask[:, :end],
            position_ids=places,
            past_key_values=cache,
            logits_to_keep=1,
        )
        # As `generate` compares them.
        new = seen.logits[:, -1].float().argmax(dim=-1)
        going = [token not in ends for token in new.tolist()]
        for question, token, goes in zip(asking, new.tolist(), going, strict=True):
            said[question] += [token] * goes
        if not any(going):
            break
        ids, places = new[:, None], places[:, -1:] + 1
        if not all(going):
            stay = close_gaps(going)
            rows = torch.tensor(stay, device=ids.device)
            cache.batch_select_indices(rows)
            asking = [asking[row] for row in stay]
            ids, places, mask = ids[rows], places[rows], mask[rows]
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
