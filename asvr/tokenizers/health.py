"""How well codebooks serve some vectors, and whether that is the health of a tokenizer or its collapse."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from asvr.targets.residual_quantizer import nearest

MIN_USAGE = 0.1
"""A depth that uses a smaller share of its codes has collapsed. The known case, VQGAN with 16,384 trained codes, uses
less than 12 % (VQGAN-LC, arXiv 2406.11837); codebooks by k-means use nearly all."""

MIN_PERPLEXITY, LOW_GAIN = 0.05, 0.05
"""A depth whose perplexity is closer to one code than this share of the way to all codes has collapsed, if it also
takes away less than such a share of what the depths before it left. One alone says nothing: pictures that are mostly
white have few codes that matter, and deep depths have little to take away."""

MIN_GAIN = 0.001
"""A depth that takes away a smaller share of what the depths before it left is useless, whatever its codes."""

EXACT = 1e-6
"""Share of the variance below which nothing is left to quantise: fp32 rounding."""


def health(
    vectors: Float[Tensor, "vectors dim"], codebooks: Float[Tensor, "depth codes dim"]
) -> list[dict[str, int | float]]:
    """Says for each depth how well the codebooks serve these vectors.

    Returns:
        Per depth: `codes` (how many there are), `usage` (share of codes used), `perplexity` (of the codes'
        distribution) and `residual_energy` (share of the vectors' variance that is left after this depth).
    """
    total = (vectors - vectors.mean(0)).double().square().sum()
    residual, report = vectors, []
    for codebook in codebooks:
        codes = nearest(residual, codebook)
        residual = residual - codebook[codes]
        share = torch.bincount(codes, minlength=len(codebook)).double() / len(codes)
        entropy = -(share * share.clamp(min=1e-12).log()).sum()
        report.append(
            {
                "codes": len(codebook),
                "usage": float((share > 0).double().mean()),
                "perplexity": float(entropy.exp()),
                "residual_energy": float(residual.double().square().sum() / total),
            }
        )
    return report


def verdict(health: Sequence[Mapping[str, int | float]]) -> list[str]:
    """Says why a tokenizer is unhealthy.

    The figures should be those of more vectors than there are codes: fewer cannot use them.

    Args:
        health: For each depth at least `codes`, `usage`, `perplexity` and `residual_energy`, as of `health`.

    Returns:
        One reason a line, by depth; none for a healthy tokenizer.
    """
    reasons, before = [], 1.0
    for depth, figures in enumerate(health):
        codes, energy = figures["codes"], figures["residual_energy"]
        few = figures["perplexity"] - 1 < MIN_PERPLEXITY * (codes - 1)
        # "Not below", so that an energy that is no number is a reason too; where nothing is left there is none.
        little, nothing = (before > EXACT and not energy < (1 - gain) * before for gain in (LOW_GAIN, MIN_GAIN))
        if figures["usage"] < MIN_USAGE:
            reasons.append(f"depth {depth}: collapsed, only {figures['usage']:.1%} of {codes} codes are used")
        elif few and little:
            reasons.append(f"depth {depth}: collapsed, its {codes} codes are as good as {figures['perplexity']:.1f}")
        if nothing:
            reasons.append(
                f"depth {depth}: useless, {before:.2%} of the variance was left before it, {energy:.2%} after"
            )
        before = energy
    return reasons
