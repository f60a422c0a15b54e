"""How figures look: colours, type, and SVG that stands in a page."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

BASELINE_COLOUR = "#6b6b6b"
ARM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#a6761d")
"""Of Okabe and Ito's palette, which colour-blind readers tell apart."""

INK, FAINT = "#333333", "#b5b5b5"

LABEL_HEIGHT = 11
"""Of a line of text, in points."""

PLAIN: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "asvr",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.6,
}
"""Settings of matplotlib, for a `rc_context`."""


def arm_colours(names: Sequence[str]) -> dict[str, str]:
    """Gives every arm its colour; the first, the baseline, is grey."""
    others = [ARM_COLOURS[index % len(ARM_COLOURS)] for index in range(len(names) - 1)]
    return dict(zip(names, [BASELINE_COLOUR, *others], strict=True))


def ordered_colours(number: int) -> list[str]:
    """Gives colours from dark to light for things that have an order, such as depths."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.78, number))
    return [to_hex(shade) for shade in shades]


def render(draw: Callable[[Axes], None], *, label: str, width: int, height: int) -> str:
    """Draws one panel.

    Args:
        draw: Draws on the axes.
        label: Says in words what is seen, for those who cannot see it.
        width: In points.
        height: In points.

    Returns:
        An `<svg>` element with text as text; it shrinks with the page, and is no wider than drawn.
    """
    with rc_context(PLAIN):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _embed(file.getvalue(), label, width=width, height=height)


def _embed(svg: str, label: str, *, width: int, height: int) -> str:
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # Matplotlib numbers its groups the same way in every figure; nothing refers to these names.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    head = (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width * 4 / 3:.0f}px" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + body


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Writes names beside the right edge at the height where their lines end, moved apart where they would overlap.

    Args:
        axes: With its limits final.
        ends: Name, value at the end, and colour of each line.
    """
    if not ends:
        return
    points = axes.transData.transform([(axes.get_xlim()[1], value) for _, value, _ in ends])
    heights = axes.transAxes.inverted().transform(points)[:, 1]
    gap = LABEL_HEIGHT / (axes.bbox.height * 72 / axes.figure.dpi)
    for (name, _, colour), height in zip(ends, spread(list(heights), gap=gap), strict=True):
        axes.text(1.02, height, name, color=colour, transform=axes.transAxes, va="center", ha="left")


def spread(values: Sequence[float], *, gap: float) -> list[float]:
    """Moves values as far apart as a gap, keeping their order and, where they crowd, their middle."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = [values[index] for index in order]
    for _ in range(100):
        for low in range(len(placed) - 1):
            missing = gap - (placed[low + 1] - placed[low])
            if missing > 0:
                placed[low] -= missing / 2
                placed[low + 1] += missing / 2
    result = [0.0] * len(values)
    for index, value in zip(order, placed, strict=True):
        result[index] = float(value)
    return result
