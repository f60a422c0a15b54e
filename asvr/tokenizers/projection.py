"""Features projected to a lower width before they are quantised: their principal components."""

import torch
from jaxtyping import Float
from torch import Tensor

from asvr.targets.blocks import LinearProjection
from asvr.tokenizers.ranks import Ranks, SharedRows
from asvr.tokenizers.workspace import Workspace

NAME, ROWS = "projection", 2048
"""Vectors turned into fp64 at once."""


def principal_projection(
    vectors: Float[Tensor, "own dim"], width: int, workspace: Workspace
) -> tuple[LinearProjection, LinearProjection]:
    """Gives the projection to so many principal components of all processes' vectors, and the way back.

    The way back is the least-squares one: what the components left out of a vector is its mean.

    Args:
        vectors: This process's vectors.
        width: Number of components.
        workspace: Keeps the projection, so that a continued fit has the same one.
    """
    if not workspace.has(NAME):
        mean, covariance = moments(vectors, workspace.ranks)
        if workspace.ranks.is_first:
            components = principal_components(covariance.cpu(), width)
            workspace.save(NAME, {"components": components.float(), "mean": mean.cpu().float()})
        workspace.ranks.wait()
    kept, _ = workspace.load(NAME)
    components, mean = kept["components"], kept["mean"]
    down, up = LinearProjection(len(mean), width), LinearProjection(width, len(mean))
    with torch.no_grad():
        down.linear.weight.copy_(components)
        down.linear.bias.copy_(-components @ mean)
        up.linear.weight.copy_(components.T)
        up.linear.bias.copy_(mean)
    return down, up


def moments(vectors: Float[Tensor, "own dim"], ranks: Ranks) -> tuple[Float[Tensor, " dim"], Float[Tensor, "dim dim"]]:
    """Gives the mean and the covariance of all processes' vectors, fp64."""
    count = SharedRows(ranks, len(vectors)).total
    dim = vectors.shape[1]
    sums, products = vectors.new_zeros(dim).double(), vectors.new_zeros(dim, dim).double()
    for part in vectors.split(ROWS):
        sums += part.double().sum(0)
    mean = ranks.total(sums) / count
    for part in vectors.split(ROWS):
        centred = part.double() - mean
        products += centred.T @ centred
    return mean, ranks.total(products) / count


def principal_components(covariance: Float[Tensor, "dim dim"], width: int) -> Float[Tensor, "width dim"]:
    """Gives the eigenvectors of largest eigenvalue, largest first, each with its largest entry positive."""
    _, vectors = torch.linalg.eigh(covariance)
    components = vectors.T.flip(0)[:width]
    largest = components.abs().argmax(1, keepdim=True)
    return components * components.gather(1, largest).sign()
