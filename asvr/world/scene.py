"""What a picture of the embedded world shows: a few things on a grid of cells, and the split a scene belongs to."""

import hashlib
from dataclasses import dataclass
from random import Random
from typing import Literal

Split = Literal["train", "unlabelled", "val", "test", "tower", "language"]
SPLITS: tuple[Split, ...] = ("train", "unlabelled", "val", "test", "tower", "language")

GRID = 3
SHAPES = ("circle", "square", "triangle", "star", "diamond", "heart")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black")
SIZES = ("small", "large")
CHARACTERS = ("C", "E", "H", "L", "S", "T", "V", "X")


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Args:
        shape: One of `SHAPES`.
        colour: One of `COLOURS`.
        size: One of `SIZES`.
        character: The letter drawn on it, one of `CHARACTERS`.
        cell: Where it lies, counted in raster order from 0 to `GRID ** 2 - 1`.
    """

    shape: str
    colour: str
    size: str
    character: str
    cell: int

    @property
    def row(self) -> int:
        """Row of its cell, 0 at the top."""
        return self.cell // GRID

    @property
    def column(self) -> int:
        """Column of its cell, 0 at the left."""
        return self.cell % GRID

    @property
    def phrase(self) -> str:
        """All four attributes in words, such as `small red circle C`."""
        return f"{self.size} {self.colour} {self.shape} {self.character}"


@dataclass(frozen=True)
class Scene:
    """The things of one picture, in raster order of their cells, no two in one cell."""

    things: tuple[Thing, ...]


def split_of(scene: Scene) -> Split:
    """Says which split a scene belongs to, from its content alone, so that no scene can be in two of them."""
    content = ";".join(f"{thing.cell} {thing.phrase}" for thing in scene.things)
    return SPLITS[hashlib.sha256(content.encode()).digest()[0] % len(SPLITS)]


def sample_scene(split: Split, index: int, *, seed: int, num_things: tuple[int, int] = (2, 5)) -> Scene:
    """Draws the scene number `index` of a split; the same arguments give the same scene, whatever else is drawn.

    Args:
        split: The split the scene belongs to.
        index: Number of the scene within its split.
        seed: Seed of the world.
        num_things: Least and greatest number of things, both included.
    """
    rng = Random(f"scene {seed} {split} {index}")
    while True:
        scene = _any_scene(rng, num_things)
        if split_of(scene) == split:
            return scene


def _any_scene(rng: Random, num_things: tuple[int, int]) -> Scene:
    # Few colours and shapes in one scene, so that things share them and counts above one are common.
    colours = rng.sample(COLOURS, rng.randint(2, 4))
    shapes = rng.sample(SHAPES, rng.randint(2, 4))
    cells = sorted(rng.sample(range(GRID**2), rng.randint(*num_things)))
    things = (
        Thing(rng.choice(shapes), rng.choice(colours), rng.choice(SIZES), rng.choice(CHARACTERS), cell)
        for cell in cells
    )
    return Scene(tuple(things))
