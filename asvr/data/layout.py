"""Which visual tokens a picture becomes, and what each of them shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageLayout:
    """The visual tokens of one picture.

    A vision tower sees a picture as one crop or several, each of them a grid of positions. All positions of a picture
    are numbered in raster order, crop after crop.

    Args:
        shown: For each visual token the position that it shows; -1 for one that shows none, such as the end of a row.
        num_crops: Crops that the vision tower sees.
        num_positions: Positions of all of them.
    """

    shown: Int[Tensor, " tokens"]
    num_crops: int
    num_positions: int

    @classmethod
    def plain(cls, num_positions: int) -> "ImageLayout":
        """Makes the layout of a picture that is one crop, whose tokens are its positions in order."""
        return cls(torch.arange(num_positions), num_crops=1, num_positions=num_positions)

    @property
    def num_tokens(self) -> int:
        """Counts the visual tokens."""
        return len(self.shown)

    @property
    def has_target(self) -> Bool[Tensor, " tokens"]:
        """Marks the tokens that show a position."""
        return self.shown >= 0

    @cached_property
    def in_order(self) -> bool:
        """Whether the tokens are just all positions in order."""
        return torch.equal(self.shown, torch.arange(self.num_positions))


def target_index(layouts: Sequence[ImageLayout]) -> Int[Tensor, " tokens"] | None:
    """Says which position each token with a target shows, counted through all pictures of a batch.

    Args:
        layouts: Of the pictures in reading order.

    Returns:
        An index into their positions, one after another; None where the tokens are just all of them in order.
    """
    if all(layout.in_order for layout in layouts):
        return None
    parts, before = [], 0
    for layout in layouts:
        parts.append(layout.shown[layout.has_target] + before)
        before += layout.num_positions
    return torch.cat(parts)
