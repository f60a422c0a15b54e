"""The network of the denoising head: a diffusion transformer whose every position has a condition of its own.

DiT (Peebles and Xie, 2023) as ROSS runs it (arXiv 2410.09575, `denoiser_dit.py`): where DiT tells all positions one
thing, the class, this one tells each the language model's state at its visual token.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

STEP_WIDTH = 256
"""Sines and cosines that a step is written in."""

EPS = 1e-6


class DiffusionTransformer(nn.Module):
    """Says what of noised targets is noise, given the step and a condition for each position.

    Args:
        condition_size: Width of the conditions, the language model's hidden states.
        channels: Width of the targets.
        grid: Rows and columns of one picture's targets.
        width: Width of the transformer.
        num_layers: Number of its layers.
        num_heads: Attention heads of each.
        mlp_ratio: Inner width of each layer's MLP, in widths.

    Raises:
        ValueError: If `width` cannot be cut into attention heads, or into sines and cosines of row and column.
    """

    positions: Float[Tensor, "positions width"]

    def __init__(
        self,
        condition_size: int,
        channels: int,
        grid: tuple[int, int],
        *,
        width: int = 1024,
        num_layers: int = 3,
        num_heads: int = 16,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        check_width(width, num_heads)
        self.grid, self.channels = grid, channels
        self.target_in = nn.Linear(channels, width)
        self.step_in = nn.Sequential(nn.Linear(STEP_WIDTH, width), nn.SiLU(), nn.Linear(width, width))
        self.condition_in = nn.Linear(condition_size, width)
        self.layers = nn.ModuleList(ConditionedLayer(width, num_heads, mlp_ratio) for _ in range(num_layers))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.target_out = nn.Linear(width, channels)
        # Not saved with the head: the grid says them.
        self.register_buffer("positions", grid_waves(grid, width), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """As DiT: no layer changes anything at first, and all noise is guessed to be zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in (self.condition_in, self.step_in[0], self.step_in[2]):
            assert isinstance(module, nn.Linear)
            nn.init.normal_(module.weight, std=0.02)
        for module in (*(layer.modulation for layer in self.layers), self.final_modulation, self.target_out):
            assert isinstance(module, nn.Linear)
            nn.init.zeros_(module.weight)

    def embed(self, condition: Float[Tensor, "images positions hidden"]) -> Float[Tensor, "images positions width"]:
        """Brings conditions to the transformer's width; they are the same at every step."""
        return self.condition_in(F.silu(F.layer_norm(condition, condition.shape[-1:])))

    def forward(
        self,
        noised: Float[Tensor, "draws positions channels"],
        step: Int[Tensor, " draws"],
        condition: Float[Tensor, "draws positions width"],
    ) -> Float[Tensor, "draws positions channels"]:
        """Guesses the noise.

        Args:
            noised: Targets with noise.
            step: How much of it: the step of the schedule.
            condition: What `embed` made of the conditions.
        """
        state = self.target_in(noised) + self.positions
        told = F.silu(self.step_in(step_waves(step))[:, None] + condition)
        for layer in self.layers:
            state = layer(state, told)
        shift, scale = self.final_modulation(told).chunk(2, -1)
        return self.target_out(_modulated(state, shift, scale))

    def flops_per_token(self, repeats: int) -> float:
        """Counts the forward FLOPs of one position that is denoised so often from one condition.

        Two per multiplication with its addition, attention included; norms, sines and activations are left out.
        """
        width, positions = self.target_in.out_features, math.prod(self.grid)
        once = self.condition_in.weight.numel()
        per_draw = self.target_in.weight.numel() + self.final_modulation.weight.numel() + self.target_out.weight.numel()
        per_draw += sum(each.weight.numel() for each in self.layers.modules() if isinstance(each, nn.Linear))
        # Scores and their use: each position with every other.
        per_draw += len(self.layers) * 2 * positions * width
        per_picture = (STEP_WIDTH + width) * width
        return 2 * (once + repeats * (per_draw + per_picture / positions))


class ConditionedLayer(nn.Module):
    """Attention over all positions, then an MLP; both are scaled, shifted and gated by each position's condition.

    Args:
        width: Width of a position.
        num_heads: Attention heads.
        mlp_ratio: Inner width of the MLP, in widths.
    """

    def __init__(self, width: int, num_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, mlp_ratio * width)
        self.reduce = nn.Linear(mlp_ratio * width, width)

    def forward(
        self, state: Float[Tensor, "draws positions width"], told: Float[Tensor, "draws positions width"]
    ) -> Float[Tensor, "draws positions width"]:
        """Changes each position by what it and all others hold."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(told).chunk(6, -1)
        state = state + gate * self._attend(_modulated(state, shift, scale))
        inner = F.gelu(self.expand(_modulated(state, mlp_shift, mlp_scale)), approximate="tanh")
        return state + mlp_gate * self.reduce(inner)

    def _attend(self, state: Tensor) -> Tensor:
        heads = self.qkv(state).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def _modulated(state: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(state, state.shape[-1:], eps=EPS) * (1 + scale) + shift


def check_width(width: int, num_heads: int) -> None:
    """Refuses a width that a diffusion transformer cannot have.

    Raises:
        ValueError: If it cannot be cut into attention heads, or into sines and cosines of row and column.
    """
    if num_heads < 1 or width < 4 or width % num_heads or width % 4:
        raise ValueError(
            f"a denoising head of width {width} with {num_heads} attention head(s): the width must be a multiple of "
            "the number of heads and of four; change the recipe's head.width or head.num_heads"
        )


def grid_waves(grid: tuple[int, int], width: int) -> Float[Tensor, "positions width"]:
    """Writes each position of a grid, raster order, in sines and cosines: half for its column, half for its row."""
    rows, columns = (torch.arange(count, dtype=torch.float64) for count in grid)
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    exponents = torch.arange(width // 4, dtype=torch.float64) / (width // 4)
    angles = torch.stack([column, row], -1).flatten(0, 1)[..., None] / 10_000**exponents
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).float()


def step_waves(step: Int[Tensor, " draws"]) -> Float[Tensor, "draws waves"]:
    """Writes steps in cosines and sines, as DiT."""
    exponents = torch.arange(STEP_WIDTH // 2, device=step.device) / (STEP_WIDTH // 2)
    angles = step[:, None] / 10_000**exponents
    return torch.cat([angles.cos(), angles.sin()], 1)
