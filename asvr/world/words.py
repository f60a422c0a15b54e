"""Scenes in words: sparse captions of pictures, and the word pictures that the language model learns from."""

from random import Random

from asvr.world.questions import article
from asvr.world.scene import CHARACTERS, COLOURS, GRID, SHAPES, SIZES, Scene, Thing

PATCHES_PER_CELL = 2
"""Rows, and columns, of visual tokens that one cell of a picture takes."""

CAPTION_REQUEST = "Describe the image."

EMPTY = "[empty]"

THING_WORDS = tuple(
    f"[{size} {colour} {shape} {character}]"
    for size in SIZES
    for colour in COLOURS
    for shape in SHAPES
    for character in CHARACTERS
)
"""The one word that stands for a thing in a word picture, for every possible thing."""


def caption(scene: Scene, rng: Random) -> str:
    """Writes a sparse caption: one or two of the things, each by colour and shape, its size and letter now and then."""
    mentioned = rng.sample(scene.things, min(len(scene.things), rng.randint(1, 2)))
    sentence = " and ".join(_mention(thing, rng) for thing in mentioned)
    return f"{sentence[0].upper()}{sentence[1:]}."


def word_picture(scene: Scene) -> str:
    """Spells a scene as a picture made of words: one for each visual token that its picture has, in raster order.

    A language model that has learnt to answer from word pictures needs only the words swapped for visual tokens: the
    positions stay. Each of a cell's patches says the whole thing, as each patch of a vision tower may.
    """
    by_cell = {thing.cell: f"[{thing.phrase}]" for thing in scene.things}
    side = GRID * PATCHES_PER_CELL
    return "".join(
        by_cell.get(row // PATCHES_PER_CELL * GRID + column // PATCHES_PER_CELL, EMPTY)
        for row in range(side)
        for column in range(side)
    )


def _mention(thing: Thing, rng: Random) -> str:
    size = f"{thing.size} " if rng.random() < 0.5 else ""
    letter = f" with the letter {thing.character}" if rng.random() < 0.5 else ""
    return f"{article(f'{size}{thing.colour} {thing.shape}')}{letter}"
