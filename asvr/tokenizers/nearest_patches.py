"""For every code, the patches that it says best: those nearest to its code vector."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

NONE = -1
"""In place of a patch where a code has fewer."""


class NearestPatches:
    """Keeps the nearest patches of every code over all pictures added, in memory that does not grow with them.

    A code stands for what the depths before it left of a vector; nearest is what lies at the smallest distance from the
    code vector among all that was given the code. At most one patch of a picture is kept for a code.

    Args:
        depths: How many of the first depths are followed.
        num_codes: Codes per depth.
        keep: Patches kept for each code.
        device: Where codes and distances will be.
    """

    def __init__(self, depths: int, num_codes: int, *, keep: int, device: torch.device) -> None:
        shape = (depths, num_codes, keep)
        self.distance: Float[Tensor, "depths codes keep"] = torch.full(shape, torch.inf, device=device)
        self.picture: Int[Tensor, "depths codes keep"] = torch.full(shape, NONE, device=device)
        self.position: Int[Tensor, "depths codes keep"] = torch.full(shape, NONE, device=device)

    def add(
        self,
        depth: int,
        pictures: Sequence[int],
        codes: Int[Tensor, "images positions"],
        distances: Float[Tensor, "images positions"],
    ) -> None:
        """Adds pictures that were not added before.

        Args:
            depth: Whose codes these are.
            pictures: Number of each picture.
            codes: Of each position.
            distances: From what the code stands for to its code vector.
        """
        num_codes, keep = self.distance.shape[1:]
        picture = torch.tensor(pictures, device=codes.device)[:, None].expand_as(codes).flatten()
        position = torch.arange(codes.shape[1], device=codes.device).expand_as(codes).flatten()
        new = (codes.flatten(), distances.flatten().float(), picture, position)
        order = _order(new[1], new[2], new[0])
        new = tuple(column[order] for column in new)
        first = _starts(new[0]) | _starts(new[2])
        owners = torch.arange(num_codes, device=codes.device).repeat_interleave(keep)
        kept = (owners, *(table[depth].flatten() for table in (self.distance, self.picture, self.position)))
        joined = [torch.cat([old, column[first]]) for old, column in zip(kept, new, strict=True)]
        order = _order(joined[1], joined[0])
        owners, *columns = (column[order] for column in joined)
        # Every code has at least `keep` rows, those it had, so that its first `keep` are there.
        start = torch.searchsorted(owners, torch.arange(num_codes, device=owners.device))
        best = start[:, None] + torch.arange(keep, device=owners.device)
        for table, column in zip((self.distance, self.picture, self.position), columns, strict=True):
            table[depth] = column[best]

    def of(self, depth: int, code: int) -> list[tuple[int, int, float]]:
        """Gives picture, position and distance of a code's patches, nearest first."""
        columns = (table[depth, code].tolist() for table in (self.picture, self.position, self.distance))
        return [row for row in zip(*columns, strict=True) if row[0] != NONE]


def _order(*keys: Tensor) -> Tensor:
    """Sorts by the last key, equal ones by the one before it, and so on."""
    order = torch.arange(len(keys[0]), device=keys[0].device)
    for key in keys:
        order = order[key[order].argsort(stable=True)]
    return order


def _starts(values: Tensor) -> Tensor:
    """Marks the values that differ from the one before."""
    return torch.cat([values.new_ones(1, dtype=torch.bool), values[1:] != values[:-1]])
