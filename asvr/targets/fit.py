"""Fits a visual tokenizer: the codebooks of a residual quantiser by k-means, depth after depth."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor, nn

from asvr.targets.extract import extract
from asvr.targets.features import FeatureSource
from asvr.targets.residual_quantizer import ResidualQuantizer, nearest
from asvr.targets.tokenizer import VisualTokenizer

HELD_OUT = 10
"""One image in this many is kept from the fit, to say how well the codebooks serve new images."""


def fit_tokenizer(
    features: FeatureSource,
    images: Iterable[Image],
    *,
    depth: int,
    num_codes: int,
    iterations: int = 20,
    seed: int = 0,
    positions: int | None = None,
    device: torch.device | str = "cpu",
    on_iteration: Callable[[], None] = lambda: None,
) -> VisualTokenizer:
    """Makes a visual tokenizer for any features from images alone.

    Args:
        features: What is quantised.
        images: RGB images; the features used of them are held in memory.
        depth: Codes per visual token.
        num_codes: Code vectors per depth.
        iterations: Passes of k-means per depth.
        seed: Makes the codebooks, and draws the positions.
        positions: Visual tokens used of each image, drawn at random; None uses all.
        device: Where features are computed and code vectors are searched.
        on_iteration: Called after each pass.

    Returns:
        A tokenizer whose `about` says how it was made and its `health` on held-out images.

    Raises:
        ValueError: If the images give fewer vectors than codes.
    """
    vectors = extract(features, images, positions=positions, seed=seed, device=device).to(device)
    held_out = torch.arange(len(vectors), device=vectors.device) % HELD_OUT == HELD_OUT - 1
    kept, new = vectors[~held_out].flatten(0, 1), vectors[held_out].flatten(0, 1)
    codebooks = fit_codebooks(
        kept, depth=depth, num_codes=num_codes, iterations=iterations, seed=seed, on_iteration=on_iteration
    )
    checked = health(new if len(new) else kept, codebooks)
    about = {"images": len(vectors), "iterations": iterations, "seed": seed, "health": checked}
    assert isinstance(features, nn.Module)
    return VisualTokenizer(features.cpu(), ResidualQuantizer(codebooks.cpu()), about=about)


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
