"""The noise that a denoising head learns to take away: 1000 steps, cosine schedule (Nichol and Dhariwal, 2021)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

NUM_STEPS = 1000
"""Steps of noise; ROSS has as many, and draws one of them uniformly."""

MAX_BETA = 0.999
"""Share of the variance that one step may replace at most (their section 3.2)."""


def signal_shares() -> Float[Tensor, " steps"]:
    """Gives the share of the variance that is still signal after each step, fp64; `alphas_cumprod` to diffusers."""
    times = torch.arange(NUM_STEPS + 1, dtype=torch.float64) / NUM_STEPS
    # Their Eq. 17; the offset of .008 keeps the first steps from having next to no noise.
    meant = torch.cos((times + 0.008) / 1.008 * math.pi / 2).square()
    betas = (1 - meant[1:] / meant[:-1]).clamp(max=MAX_BETA)
    return (1 - betas).cumprod(0)


def noised(
    clean: Float[Tensor, "draws positions channels"],
    noise: Float[Tensor, "draws positions channels"],
    signal: Float[Tensor, " draws"],
) -> Float[Tensor, "draws positions channels"]:
    """Mixes targets with noise, each picture in its own proportion."""
    share = signal[:, None, None]
    return share.sqrt() * clean + (1 - share).sqrt() * noise
