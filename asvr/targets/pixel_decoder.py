"""VQGAN's decoder: a vector for each token → pixels."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from asvr.targets.blocks import ResidualConv, as_map, group_norm


class PixelDecoder(nn.Module):
    """Vectors → the decoder's own grid, bilinearly → a residual block → VQGAN's decoder → normalised pixels.

    The network is VQGAN's (Esser et al. 2021), held to diffusers' port of it by a test. What comes before it follows
    DualToken's description and the names and shapes of its weights: no pixels of the authors' decoder were recorded.
    Every level but the finest doubles rows and columns: 24x24 and five levels give 384x384 pixels. It computes in the
    dtype that it is given.

    Args:
        in_width: Width of the vectors, a multiple of 32.
        grid: Rows and columns of the vectors of one image.
        latent_grid: Rows and columns at which decoding begins, 24x24 in DualToken.
        latent_channels: Channels with which it begins, a multiple of 32; 1024 in DualToken.
        level_channels: Channels of each level, finest first, multiples of 32; 128, 128, 512, 512, 1024 in DualToken.
        blocks: Residual blocks per level as VQGAN counts them: there is always one more.
        attention_levels: Levels, numbered as in `level_channels`, each of whose blocks is followed by attention; the
            coarsest in DualToken.

    Raises:
        ValueError: If a number of channels is no multiple of 32, or, when called, if the vectors are not the grid's.
    """

    def __init__(
        self,
        in_width: int,
        grid: Sequence[int],
        *,
        latent_grid: Sequence[int],
        latent_channels: int,
        level_channels: Sequence[int],
        blocks: int = 2,
        attention_levels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self._described = {
            "kind": "pixel_decoder",
            "in_width": in_width,
            "grid": list(grid),
            "latent_grid": list(latent_grid),
            "latent_channels": latent_channels,
            "level_channels": list(level_channels),
            "blocks": blocks,
            "attention_levels": list(attention_levels),
        }
        self.grid, self.latent_grid = tuple(grid), tuple(latent_grid)
        self.entry = ResidualConv(in_width, latent_channels, kernel=1)
        self.network = _Decoder(latent_channels, level_channels, blocks, attention_levels)

    def forward(self, vectors: Float[Tensor, "images positions in_width"]) -> Float[Tensor, "images 3 height width"]:
        """Decodes the vectors of each image together."""
        maps = F.interpolate(as_map(vectors, self.grid), self.latent_grid, mode="bilinear")
        return self.network(self.entry(maps))

    def describe(self) -> dict[str, Any]:
        """Says how to make another like it."""
        return dict(self._described)


# Names of weights below are those of taming-transformers, so that published ones load as they are.


class _Decoder(nn.Module):
    def __init__(self, latent_channels: int, level_channels: Sequence[int], blocks: int, attention: Sequence[int]):
        super().__init__()
        coarsest = level_channels[-1]
        self.conv_in = nn.Conv2d(latent_channels, coarsest, 3, padding=1)
        self.mid = nn.ModuleDict(
            {
                "block_1": ResidualConv(coarsest, coarsest),
                "attn_1": _MapAttention(coarsest),
                "block_2": ResidualConv(coarsest, coarsest),
            }
        )
        coarser = [*level_channels[1:], coarsest]
        self.up = nn.ModuleList(
            _Level(before, channels, blocks + 1, attends=level in attention, doubles=level > 0)
            for level, (before, channels) in enumerate(zip(coarser, level_channels, strict=True))
        )
        self.norm_out = group_norm(level_channels[0])
        self.conv_out = nn.Conv2d(level_channels[0], 3, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv_in(maps)
        for part in (*self.mid.values(), *reversed(self.up)):
            maps = part(maps)
        return self.conv_out(F.silu(self.norm_out(maps)))


class _Level(nn.Module):
    def __init__(self, in_channels: int, channels: int, blocks: int, *, attends: bool, doubles: bool) -> None:
        super().__init__()
        widths = [in_channels] + [channels] * (blocks - 1)
        self.block = nn.ModuleList(ResidualConv(width, channels) for width in widths)
        self.attn = nn.ModuleList(_MapAttention(channels) for _ in widths if attends)
        self.upsample = nn.ModuleDict({"conv": nn.Conv2d(channels, channels, 3, padding=1)} if doubles else {})

    def forward(self, maps: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            maps = block(maps)
            if self.attn:
                maps = self.attn[index](maps)
        if self.upsample:
            maps = self.upsample["conv"](F.interpolate(maps, scale_factor=2.0, mode="nearest"))
        return maps


class _MapAttention(nn.Module):
    """Attention of one head over all places of a map, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, maps: Tensor) -> Tensor:
        normed = self.norm(maps)
        query, key, value = (part(normed).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(query, key, value)
        return maps + self.proj_out(seen.transpose(1, 2).unflatten(2, maps.shape[2:]))
