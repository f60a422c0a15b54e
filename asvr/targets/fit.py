"""Fits the codebooks of a residual quantiser by k-means, depth after depth."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from asvr.targets.residual_quantizer import nearest


def fit_codebooks(
    vectors: Float[Tensor, "vectors dim"],
    *,
    depth: int,
    num_codes: int,
    iterations: int = 20,
    seed: int = 0,
    on_iteration: Callable[[], None] = lambda: None,
) -> Float[Tensor, "depth codes dim"]:
    """Fits one codebook per depth, each to what the depths before it left over.

    Args:
        vectors: Features to be quantised, fp32.
        depth: Codes per vector.
        num_codes: Code vectors per depth.
        iterations: Passes of k-means per depth.
        seed: Decides the first code vectors and what replaces unused ones; equal seeds give equal codebooks.
        on_iteration: Called after each pass.

    Raises:
        ValueError: If there are fewer vectors than codes.
    """
    if len(vectors) < num_codes:
        raise ValueError(
            f"{len(vectors)} feature vectors cannot fill {num_codes} codes: give more images or fewer codes"
        )
    generator = torch.Generator().manual_seed(seed)
    residual, codebooks = vectors, []
    for _ in range(depth):
        codebook = _kmeans(residual, num_codes, iterations, generator, on_iteration)
        residual = residual - codebook[nearest(residual, codebook)]
        codebooks.append(codebook)
    return torch.stack(codebooks)


def _kmeans(
    vectors: Tensor, num_codes: int, iterations: int, generator: torch.Generator, on_iteration: Callable[[], None]
) -> Tensor:
    codebook = _draw(vectors, num_codes, generator)
    for _ in range(iterations):
        codes = nearest(vectors, codebook)
        codebook, counts = centroids(vectors, codes, num_codes)
        unused = counts == 0
        # In the last pass a fresh code would have had no chance to move, but it is still nearer to something than none.
        if unused.any():
            codebook[unused] = _draw(vectors, int(unused.sum()), generator)
        on_iteration()
    return codebook


def _draw(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return vectors[torch.randperm(len(vectors), generator=generator)[:count].to(vectors.device)].clone()


def centroids(
    vectors: Float[Tensor, "vectors dim"], codes: Int[Tensor, " vectors"], num_codes: int
) -> tuple[Float[Tensor, "codes dim"], Int[Tensor, " codes"]]:
    """Averages the vectors of each code; a code without vectors gets zeros and a count of zero."""
    counts = torch.bincount(codes, minlength=num_codes)
    sums = vectors.new_zeros(num_codes, vectors.shape[1]).index_add_(0, codes, vectors)
    return sums / counts.clamp(min=1).unsqueeze(1), counts


def health(
    vectors: Float[Tensor, "vectors dim"], codebooks: Float[Tensor, "depth codes dim"]
) -> list[dict[str, float]]:
    """Says for each depth how well the codebooks serve these vectors.

    Returns:
        Per depth: `usage` (share of codes used), `perplexity` (of the codes' distribution) and `residual_energy` (share
        of the vectors' variance that is left after this depth).
    """
    total = (vectors - vectors.mean(0)).square().sum()
    residual, report = vectors, []
    for codebook in codebooks:
        codes = nearest(residual, codebook)
        residual = residual - codebook[codes]
        share = torch.bincount(codes, minlength=len(codebook)).double() / len(codes)
        entropy = -(share * share.clamp(min=1e-12).log()).sum()
        report.append(
            {
                "usage": float((share > 0).double().mean()),
                "perplexity": float(entropy.exp()),
                "residual_energy": float(residual.square().sum() / total),
            }
        )
    return report
