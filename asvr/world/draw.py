"""Pictures of scenes: smooth shapes with a letter on each, over a soft background."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from asvr.world.scene import GRID, Scene, Thing

RGB = tuple[int, int, int]
Point = tuple[float, float]

PICTURE_SIZE = 72
"""Side of a picture in pixels; a cell is a third of it."""

_OVERSAMPLING = 4
_PAINT: dict[str, RGB] = {
    "red": (214, 40, 48),
    "orange": (244, 130, 28),
    "yellow": (250, 210, 40),
    "green": (44, 158, 75),
    "blue": (38, 99, 214),
    "purple": (136, 60, 178),
    "black": (38, 38, 44),
}
_LIGHT: RGB = (255, 255, 255)
_DARK: RGB = (40, 36, 30)
# Diameter of a thing and height of its letter as fractions of a cell.
_DIAMETER = {"small": 0.68, "large": 0.96}
_LETTER = {"small": 0.34, "large": 0.44}


def draw(scene: Scene, *, seed: int | str, size: int = PICTURE_SIZE) -> Image.Image:
    """Draws a scene.

    Args:
        scene: What to draw.
        seed: Decides what a scene leaves open: background, light, and the exact place and size of each thing.
        size: Side of the square picture in pixels; a larger one shows the same picture in more detail.

    Returns:
        An RGB picture.
    """
    rng = Random(f"draw {seed}")
    side = size * _OVERSAMPLING
    placed = [(thing, *_place(thing, rng, side / GRID)) for thing in scene.things]
    ground = _background(rng, size)
    ground.paste((60, 60, 75), mask=_shadows(placed, size))
    # Reducing undoes this enlargement exactly, so the background costs nothing at the larger size.
    canvas = ground.resize((side, side), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(canvas)
    for thing, centre, radius in placed:
        _draw_thing(pen, thing, centre, radius, light=rng.uniform(0.9, 1.08))
    return canvas.reduce(_OVERSAMPLING)


def _circle() -> list[Point]:
    return [(math.cos(angle), math.sin(angle)) for angle in np.linspace(0, 2 * math.pi, 48, endpoint=False)]


def _polygon(*radii: float, corners: int) -> list[Point]:
    count = corners * len(radii)
    angles = (2 * math.pi * index / count - math.pi / 2 for index in range(count))
    return [
        (radii[i % len(radii)] * math.cos(angle), radii[i % len(radii)] * math.sin(angle))
        for i, angle in enumerate(angles)
    ]


def _heart() -> list[Point]:
    angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    across = 16 * np.sin(angles) ** 3
    down = -(13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles))
    return [(float(x) / 16.5, float(y - 2.5) / 15.5) for x, y in zip(across, down, strict=True)]


OUTLINES: dict[str, Sequence[Point]] = {
    "circle": [(0.94 * x, 0.94 * y) for x, y in _circle()],
    "square": [(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)],
    "triangle": [(0.0, -1.0), (1.04, 0.86), (-1.04, 0.86)],
    "star": [(1.1 * x, 1.1 * y + 0.06) for x, y in _polygon(1.0, 0.56, corners=5)],
    "diamond": _polygon(1.06, corners=4),
    "heart": _heart(),
}
"""Outline of each shape around the origin, y downwards, in a square of about two by two."""

# Where a letter sits best within its shape, in radii below the centre, and how much of its usual height fits there.
_LETTER_SHIFT = {"circle": 0.0, "square": 0.0, "triangle": 0.34, "star": 0.07, "diamond": 0.0, "heart": -0.1}
_LETTER_FIT = {"circle": 1.0, "square": 1.0, "triangle": 0.84, "star": 0.84, "diamond": 0.92, "heart": 1.0}


def _place(thing: Thing, rng: Random, cell: float) -> tuple[Point, float]:
    radius = cell * _DIAMETER[thing.size] * rng.uniform(0.95, 1.02) / 2
    wander = (cell / 2 - radius) * 0.6 + cell * 0.02
    x = (thing.column + 0.5) * cell + rng.uniform(-wander, wander)
    y = (thing.row + 0.5) * cell + rng.uniform(-wander, wander)
    return (x, y), radius


def _background(rng: Random, size: int) -> Image.Image:
    base = np.array([rng.uniform(205, 240) for _ in range(3)])
    tilt = np.array([rng.uniform(-16, 16) for _ in range(3)])
    angle = rng.uniform(0, 2 * math.pi)
    ramp = np.linspace(-1, 1, size)
    slope = ramp[None, :] * math.cos(angle) + ramp[:, None] * math.sin(angle)
    pixels = base + slope[..., None] * tilt
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


def _outline(points: Sequence[Point], centre: Point, radius: float) -> list[Point]:
    return [(centre[0] + x * radius, centre[1] + y * radius) for x, y in points]


def _shadows(placed: Sequence[tuple[Thing, Point, float]], size: int) -> Image.Image:
    side = size * _OVERSAMPLING
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    drop = side * 0.012
    for thing, (x, y), radius in placed:
        pen.polygon(_outline(OUTLINES[thing.shape], (x + drop, y + drop), radius), fill=90)
    return mask.reduce(_OVERSAMPLING).filter(ImageFilter.GaussianBlur(size / 60))


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, centre: Point, radius: float, *, light: float) -> None:
    paint = _shade(_PAINT[thing.colour], light)
    rim = _shade(paint, 0.78)
    pen.polygon(_outline(OUTLINES[thing.shape], centre, radius), fill=rim)
    pen.polygon(_outline(OUTLINES[thing.shape], centre, radius * 0.92), fill=paint)
    ink = _DARK if thing.colour in ("yellow", "orange") else _LIGHT
    height = radius * 2 * _LETTER[thing.size] / _DIAMETER[thing.size] * _LETTER_FIT[thing.shape]
    spot = (centre[0], centre[1] + _LETTER_SHIFT[thing.shape] * radius)
    pen.text(spot, thing.character, fill=ink, font=_font(round(height / 0.73)), anchor="mm")


def _shade(colour: RGB, factor: float) -> RGB:
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", size)
