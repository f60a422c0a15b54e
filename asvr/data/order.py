"""An epoch's order in which conversations of similar length stand together, so that little of a batch is padding."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import Sampler

BLOCKS = 64
"""Blocks that are sorted together. A block is padded to its longest conversation; sorted, the excess of each over the
next adds up to the range of lengths at most, so that of `BLOCKS` blocks a share of at most
(longest - shortest) / (BLOCKS * mean) is padding: 3.9 % where the range is 2.5 times the mean, and half of that where
lengths spread evenly."""


def similar_order(lengths: Sequence[int], *, batch_size: int, block: int, seed: int) -> list[int]:
    """Draws an order of conversations whose optimisation steps are made of blocks of similar length.

    All are shuffled, each `BLOCKS` blocks of them are sorted by length and cut, and the blocks are shuffled again. A
    step so still mixes lengths, unlike one that is a single block: its losses are means over its tokens, and in steps
    of one length those of short conversations would weigh more. Within a step the longest come first, so that ranks
    which compute side by side have equally much to do; how a step is cut does not change what is in it.

    Args:
        lengths: Of each conversation, in tokens, visual ones included.
        batch_size: Conversations per optimisation step, over all ranks and micro-batches; a multiple of `block`.
        block: Conversations of similar length that come together.
        seed: Draws the order.

    Returns:
        Each conversation's index once. The last block, which may be incomplete, stays the last.
    """
    assert batch_size % block == 0, f"steps of {batch_size} in blocks of {block}"
    length, draw = torch.as_tensor(lengths), torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(length), generator=draw)
    by_length = torch.cat([_longest_first(part, length) for part in drawn.split(BLOCKS * block)])
    *blocks, last = by_length.split(block)
    shuffled = [blocks[index] for index in torch.randperm(len(blocks), generator=draw).tolist()]
    order = torch.cat([*shuffled, last])
    return [index for step in order.split(batch_size) for index in _longest_first(step, length).tolist()]


def _longest_first(indices: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    return indices[length[indices].argsort(descending=True, stable=True)]


class SimilarLengths(Sampler[int]):
    """Goes through `similar_order`, drawn anew each epoch; an epoch of a run that was cut short is drawn as it was.

    Args:
        lengths: As `similar_order`.
        batch_size: As `similar_order`.
        block: As `similar_order`.
        seed: Draws the first epoch; the next are drawn by the numbers that follow it.
        steps_done: Gives how many optimisation steps have been taken when an epoch begins or continues. Asked for, not
            told: no one tells a sampler behind the batches of several ranks that a resumed run skips.
    """

    def __init__(
        self, lengths: Sequence[int], *, batch_size: int, block: int, seed: int, steps_done: Callable[[], int]
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.block = block
        self.seed = seed
        self.steps_done = steps_done

    def __len__(self) -> int:
        """Counts the conversations."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Gives the order of the epoch that training is in."""
        epoch = self.steps_done() // -(-len(self.lengths) // self.batch_size)
        yield from similar_order(self.lengths, batch_size=self.batch_size, block=self.block, seed=self.seed + epoch)
