"""Blocks before and after quantisation: trainable maps from vectors of one width to vectors of another."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
"""Groups of every GroupNorm, as in VQGAN's networks (`Normalize` of taming-transformers)."""


class LinearProjection(nn.Module):
    """One affine map for every token.

    Args:
        in_width: Width of the vectors that come.
        out_width: Width of the vectors that go.
    """

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, out_width)

    def forward(self, vectors: Float[Tensor, "images positions in_width"]) -> Float[Tensor, "images positions width"]:
        """Projects every vector."""
        return self.linear(vectors)

    def describe(self) -> dict[str, Any]:
        """Says how to make another like it."""
        return {"kind": "linear", "in_width": self.linear.in_features, "out_width": self.linear.out_features}


class AttentionProjection(nn.Module):
    """DualToken's projection: a linear path plus attention over the image's tokens, then a gated MLP.

    The heads are as wide as the narrower side, and as many as fit into the wider one (36 of 32 for 1152 and 32). On
    the way down their outputs are averaged, on the way up they are put side by side. Down-projection is held to
    numbers recorded from DualToken's code; of up-projection only the shapes of its weights were recorded, and that it
    is causal.

    Args:
        in_width: Width of the vectors that come.
        out_width: Width of the vectors that go; one width must divide the other.
        causal: Whether a token sees only itself and those before it in raster order; DualToken's blocks after
            quantisation do.

    Raises:
        ValueError: If neither width divides the other.
    """

    def __init__(self, in_width: int, out_width: int, *, causal: bool = False) -> None:
        super().__init__()
        if max(in_width, out_width) % min(in_width, out_width):
            raise ValueError(
                f"attention projection from width {in_width} to {out_width}: one must divide the other, since heads "
                "are as wide as the narrower"
            )
        self.norm_linear = nn.LayerNorm(in_width)
        self.linear = nn.Linear(in_width, out_width)
        self.norm_attention = nn.LayerNorm(in_width)
        self.attention = _Attention(in_width, out_width, causal)
        self.norm_mlp = nn.LayerNorm(out_width)
        self.mlp = _GatedMLP(out_width)

    def forward(self, vectors: Float[Tensor, "images positions in_width"]) -> Float[Tensor, "images positions width"]:
        """Projects the vectors of each image together."""
        projected = self.linear(self.norm_linear(vectors)) + self.attention(self.norm_attention(vectors))
        return projected + self.mlp(self.norm_mlp(projected))

    def describe(self) -> dict[str, Any]:
        """Says how to make another like it."""
        widths = {"in_width": self.linear.in_features, "out_width": self.linear.out_features}
        return {"kind": "attention", **widths, "causal": self.attention.causal}


class _Attention(nn.Module):
    def __init__(self, in_width: int, out_width: int, causal: bool) -> None:
        super().__init__()
        wide, narrow = max(in_width, out_width), min(in_width, out_width)
        self.heads, self.causal, self.averages = wide // narrow, causal, out_width < in_width
        self.query = nn.Linear(in_width, wide)
        # A bias of the keys would add the same to all scores of a query, which changes no softmax.
        self.key = nn.Linear(in_width, wide, bias=False)
        self.value = nn.Linear(in_width, wide)
        self.out = nn.Linear(out_width, out_width)

    def forward(self, vectors: Tensor) -> Tensor:
        query, key, value = (
            part(vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.out(seen.mean(1) if self.averages else seen.transpose(1, 2).flatten(2))


class _GatedMLP(nn.Module):
    """GEGLU (Shazeer 2020) twice as wide inside, with a norm of its own, as DualToken has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.expand = nn.Linear(width, 2 * width)
        self.reduce = nn.Linear(2 * width, width)

    def forward(self, vectors: Tensor) -> Tensor:
        normed = self.norm(vectors)
        return self.reduce(F.gelu(self.gate(normed), approximate="tanh") * self.expand(normed))


class ShortcutProjection(nn.Module):
    """Attention projections of a deeper and of a shallower layer, added with a weight: DualToken's pixel branch.

    Args:
        in_width: Width of one layer; the vectors that come hold both, the deeper first (`TowerFeatures` of two layers).
        out_width: Width of the vectors that go.
        weight: Share of the shallower layer.

    Raises:
        ValueError: If neither width divides the other.
    """

    def __init__(self, in_width: int, out_width: int, *, weight: float = 0.6) -> None:
        super().__init__()
        self.weight = weight
        self.main = AttentionProjection(in_width, out_width)
        self.shortcut = AttentionProjection(in_width, out_width)

    def forward(self, vectors: Float[Tensor, "images positions both"]) -> Float[Tensor, "images positions width"]:
        """Projects both halves and adds them."""
        deeper, shallower = vectors.chunk(2, dim=-1)
        return self.main(deeper) + self.weight * self.shortcut(shallower)

    def describe(self) -> dict[str, Any]:
        """Says how to make another like it."""
        widths = {"in_width": self.main.linear.in_features, "out_width": self.main.linear.out_features}
        return {"kind": "shortcut", **widths, "weight": self.weight}


class ConvProjection(nn.Module):
    """A residual block of a 1x1 and a 3x3 convolution over the grid: the release's projection for pixels.

    Args:
        in_width: Width of the vectors that come, a multiple of 32.
        out_width: Width of the vectors that go, a multiple of 32.
        grid: Rows and columns of the vectors of one image.

    Raises:
        ValueError: If a width is no multiple of 32, or, when called, if the vectors are not those of the grid.
    """

    def __init__(self, in_width: int, out_width: int, *, grid: Sequence[int]) -> None:
        super().__init__()
        self.widths, self.grid = (in_width, out_width), tuple(grid)
        self.block = ResidualConv(in_width, out_width, kernel=1)

    def forward(self, vectors: Float[Tensor, "images positions in_width"]) -> Float[Tensor, "images positions width"]:
        """Projects the vectors of each image together."""
        return self.block(as_map(vectors, self.grid)).flatten(2).transpose(1, 2)

    def describe(self) -> dict[str, Any]:
        """Says how to make another like it."""
        return {"kind": "conv", "in_width": self.widths[0], "out_width": self.widths[1], "grid": list(self.grid)}


class ResidualConv(nn.Module):
    """VQGAN's residual block on maps: twice GroupNorm, SiLU and a convolution, and the input added.

    Names of weights are those of taming-transformers, so that published ones load as they are.

    Args:
        in_channels: Channels of the maps that come, a multiple of 32.
        out_channels: Channels of the maps that go, a multiple of 32; if others, a 1x1 convolution leads past.
        kernel: Side of the first convolution, odd; the second one's is 3.

    Raises:
        ValueError: If a number of channels is no multiple of 32.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.changes_width = in_channels != out_channels

    def forward(self, maps: Float[Tensor, "images in_channels h w"]) -> Float[Tensor, "images channels h w"]:
        """Adds the block's output to its input."""
        hidden = self.conv1(F.silu(self.norm1(maps)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return hidden + (self.nin_shortcut(maps) if self.changes_width else maps)


def group_norm(channels: int) -> nn.GroupNorm:
    """Makes VQGAN's normalisation: 32 groups, eps 1e-6.

    Raises:
        ValueError: If the channels cannot be divided into 32 groups.
    """
    if channels % GROUPS:
        raise ValueError(f"a width of {channels} for a convolution block: its {GROUPS} groups need a multiple of them")
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


def as_map(vectors: Float[Tensor, "images positions width"], grid: Sequence[int]) -> Float[Tensor, "images width h w"]:
    """Lays vectors in raster order out on their grid.

    Raises:
        ValueError: If there are more or fewer vectors than the grid has places.
    """
    rows, columns = grid
    if vectors.shape[1] != rows * columns:
        raise ValueError(
            f"{vectors.shape[1]} vectors per image for a block made for a grid of {rows}x{columns}: convolutions "
            "need the tokenizer's own grid"
        )
    return vectors.transpose(1, 2).unflatten(2, (rows, columns)).contiguous()
