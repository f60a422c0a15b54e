"""Features of one grid of visual tokens as features of another."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Grid = tuple[int, int]
"""Rows and columns of visual tokens."""


def resample(
    features: Float[Tensor, "images positions dim"], source: Grid, grid: Grid
) -> Float[Tensor, "images new_positions dim"]:
    """Gives the features at the tokens of another grid over the same picture, in raster order.

    Coarser grids average what falls into a token (antialiased bilinear, fp32), finer ones interpolate, equal ones are
    left untouched. It is the vectors before quantisation that are resampled, since codes cannot be averaged.
    """
    if source == grid:
        return features
    assert features.shape[1] == source[0] * source[1], f"{features.shape[1]} features for a grid of {source}"
    # Contiguous, since torch 2.13 resizes some strided maps to a single column wrongly.
    maps = features.float().transpose(1, 2).contiguous().unflatten(2, source)
    return F.interpolate(maps, size=grid, mode="bilinear", antialias=True).flatten(2).transpose(1, 2)
