"""Linear probes: which attributes of a thing can be read off features or quantised vectors of its patches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional as F

from asvr.world.draw import draw
from asvr.world.scene import CHARACTERS, COLOURS, GRID, SHAPES, SIZES, Thing, sample_scene

ATTRIBUTES = ("colour", "shape", "size", "character")
_RIDGE = 10.0


@dataclass(frozen=True)
class ProbeSet:
    """Pictures to probe features on, and what is where in them.

    Args:
        pictures: The pictures, of the world's usual size.
        picture: For each thing, the index of its picture.
        cell: For each thing, its cell in raster order.
        labels: For each thing and each of `ATTRIBUTES`, the number of its value.
    """

    pictures: Sequence[Image]
    picture: Int[Tensor, " things"]
    cell: Int[Tensor, " things"]
    labels: dict[str, Int[Tensor, " things"]]


def make_probe_set(num_pictures: int, *, seed: int) -> ProbeSet:
    """Draws pictures of the `unlabelled` split, which nothing that is probed may have been trained on with labels."""
    scenes = [sample_scene("unlabelled", index, seed=seed) for index in range(num_pictures)]
    pictures = [draw(scene, seed=f"probe {seed} {index}") for index, scene in enumerate(scenes)]
    flat = [(picture, thing) for picture, scene in enumerate(scenes) for thing in scene.things]
    labels = torch.tensor([_labels(thing) for _, thing in flat])
    return ProbeSet(
        pictures,
        picture=torch.tensor([picture for picture, _ in flat]),
        cell=torch.tensor([thing.cell for _, thing in flat]),
        labels=dict(zip(ATTRIBUTES, labels.T, strict=True)),
    )


def cell_vectors(
    features: Float[Tensor, "pictures positions dim"], probe_set: ProbeSet
) -> Float[Tensor, "things vector"]:
    """Gives for each thing of a probe set the vectors at the positions of its cell, side by side.

    Args:
        features: A square grid of vectors for each picture, in raster order; its side a multiple of `GRID`.
        probe_set: Where the things are.

    Raises:
        ValueError: If the grid cannot be cut into cells.
    """
    side = round(features.shape[1] ** 0.5)
    if side**2 != features.shape[1] or side % GRID:
        raise ValueError(
            f"{features.shape[1]} positions per picture cannot be cut into {GRID} by {GRID} cells. "
            f"Give a square grid whose side is a multiple of {GRID}."
        )
    inner = side // GRID
    grid = features.unflatten(1, (GRID, inner, GRID, inner)).permute(0, 1, 3, 2, 4, 5)
    cells = grid.reshape(len(features), GRID**2, -1)
    return cells[probe_set.picture, probe_set.cell]


def probe(features: Float[Tensor, "objects dim"], labels: Int[Tensor, " objects"], *, seed: int) -> float:
    """Says how well labels can be read off features by a linear map.

    A ridge regression onto one-hot labels, solved in closed form in fp64 on three quarters of the objects.

    Args:
        features: One vector per object.
        labels: One class per object, counted from 0.
        seed: Decides which objects are held out.

    Returns:
        Accuracy on the held-out quarter, between 0 and 1.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    fit, held_out = order[: 3 * len(order) // 4], order[3 * len(order) // 4 :]
    x = features.double()
    x = (x - x[fit].mean(0)) / (x[fit].std(0) + 1e-6)
    x = F.pad(x, (0, 1), value=1.0)
    y = F.one_hot(labels.long()).double()
    penalty = _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(x[fit].T @ x[fit] + penalty, x[fit].T @ y[fit])
    return float(((x[held_out] @ weight).argmax(1) == labels[held_out]).double().mean())


def probe_attributes(
    features: Float[Tensor, "pictures positions dim"], probe_set: ProbeSet, *, seed: int = 0
) -> dict[str, float]:
    """Probes a grid of vectors per picture for each of `ATTRIBUTES`; gives held-out accuracies between 0 and 1."""
    vectors = cell_vectors(features, probe_set)
    return {name: probe(vectors, labels, seed=seed) for name, labels in probe_set.labels.items()}


def _labels(thing: Thing) -> list[int]:
    return [
        COLOURS.index(thing.colour),
        SHAPES.index(thing.shape),
        SIZES.index(thing.size),
        CHARACTERS.index(thing.character),
    ]
