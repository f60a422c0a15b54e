"""Shows a visual tokenizer's card to its readers: `card.html`."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from asvr.reports.style import ARM_COLOURS, FAINT, INK, label_ends, render
from asvr.reports.templates import environment

CARD, PAGE = "card.json", "card.html"


def write_card_page(folder: Path) -> Path:
    """Writes the page of a tokenizer's card, which needs no other file and no network.

    Args:
        folder: Holds `card.json` and the pictures that it names.

    Returns:
        The page, `card.html` in the folder.

    Raises:
        FileNotFoundError: If the card or one of its pictures is missing.
        ValueError: If `card.json` is broken.
    """
    card = _read(folder / CARD)
    by_depth: dict[int, list[Any]] = {}
    for each in card["codes"]:
        by_depth.setdefault(each["depth"], []).append(each)
    figures = [variance_left(card), usage(card), cosines(card), agreement(card)]
    filters = {"picture": lambda name: _embedded(folder / name), "ranged": _ranged}
    template = environment(filters).get_template("tokenizer_card.html")
    page = template.render(card=card, figures=figures, shown=by_depth)
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    return path


def variance_left(card: dict[str, Any]) -> str:
    """Draws the share of the vectors' variance that is left after each depth; gives an `<svg>` element."""
    values = [100 * figures["residual_energy"] for figures in card["depths"]]

    def draw(axes: Axes) -> None:
        axes.plot([-1, *range(len(values))], [100, *values], color=ARM_COLOURS[0], marker="o", markersize=4)
        axes.set(title="Variance left", ylabel="% of the vectors' variance")
        axes.set_ylim(0, 1.04 * max(100, *values))
        _depth_axis(axes, len(values), before="none")

    return render(draw, label="Share of the variance left after each depth", width=350, height=190)


def usage(card: dict[str, Any]) -> str:
    """Draws the share of codes in use, and perplexity as a share of the codes; gives an `<svg>` element."""
    depths = card["depths"]
    lines = {
        "codes used": [100 * each["usage"] for each in depths],
        "perplexity": [100 * each["perplexity"] / each["codes"] for each in depths],
    }

    def draw(axes: Axes) -> None:
        axes.set(title="Use of the codes", ylabel=f"% of {depths[0]['codes']} codes", ylim=(0, 104))
        _depth_axis(axes, len(depths))
        _lines(axes, lines, ARM_COLOURS)

    return render(draw, label="Share of codes in use and perplexity at each depth", width=350, height=190)


def cosines(card: dict[str, Any]) -> str:
    """Draws the cosine of vectors to what the codes up to each depth say of them; gives an `<svg>` element."""
    means = [each["cosine"]["mean"] for each in card["depths"]]

    def draw(axes: Axes) -> None:
        level = card["cosine_of_mean"]
        above = means[-1] < level
        axes.set(title="Cosine to the reconstruction", ylabel="mean over pictures")
        # The scale shows what is above the mean vector, not what every tokenizer has.
        span = max(1 - min(level, *means), 0.01)
        axes.set_ylim(1 - 1.25 * span, 1 + 0.05 * span)
        _depth_axis(axes, len(means))
        axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (2, 1.5)))
        axes.annotate(
            "the mean vector alone",
            (1, level),
            xytext=(0, 2 if above else -2),
            textcoords="offset points",
            xycoords=axes.get_yaxis_transform(),
            ha="right",
            va="bottom" if above else "top",
            fontsize=8,
        )
        _band(axes, [each["cosine"] for each in card["depths"]], ARM_COLOURS[0], factor=1)

    return render(draw, label="Cosine of vectors to their reconstruction with the depths so far", width=350, height=190)


def agreement(card: dict[str, Any]) -> str:
    """Draws how often the networks in bf16 give the same code, and the same codes so far; gives an `<svg>` element."""
    depths = card["depths"]
    lines = {"this code": "bf16_agreement", "all codes so far": "bf16_prefix"}

    def draw(axes: Axes) -> None:
        axes.set(title="Same code in bf16", ylabel="% of positions", ylim=(0, 104))
        _depth_axis(axes, len(depths))
        for name, colour in zip(lines.values(), ARM_COLOURS, strict=False):
            _band(axes, [each[name] for each in depths], colour, factor=100)
        _lines(axes, {name: [100 * each[key]["mean"] for each in depths] for name, key in lines.items()}, ARM_COLOURS)

    return render(draw, label="Agreement of codes computed in bf16 with those in fp32", width=350, height=190)


def _lines(axes: Axes, lines: dict[str, list[float]], colours: Sequence[str]) -> None:
    for (_, values), colour in zip(lines.items(), colours, strict=False):
        axes.plot(range(len(values)), values, color=colour, marker="o", markersize=4)
    ends = [(name, values[-1], colour) for (name, values), colour in zip(lines.items(), colours, strict=False)]
    label_ends(axes, ends)


def _band(axes: Axes, figures: list[dict[str, float]], colour: str, *, factor: int) -> None:
    mean, low, high = ([factor * each[key] for each in figures] for key in ("mean", "low", "high"))
    axes.fill_between(range(len(mean)), low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(range(len(mean)), mean, color=colour, marker="o", markersize=4)


def _depth_axis(axes: Axes, number: int, *, before: str | None = None) -> None:
    """Marks every depth, or every second where there are many; `before` names the place before the first."""
    depths = list(range(0, number, 1 + number // 10))
    places, names = ([-1], [before]) if before else ([], [])
    axes.set_xticks([*places, *depths], [*names, *map(str, depths)])
    axes.set_xlim((-1 if before else 0) - 0.15, number - 1 + 0.15)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set_xlabel("depth")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: make the card with `asvr tokenizer card`")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is broken ({error}): make the card again with `asvr tokenizer card`") from error


def _embedded(path: Path) -> str:
    """Gives a PNG as a data URI, dot by dot: maps of codes must not be smoothed."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: make the card again with `asvr tokenizer card`")
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _ranged(figure: dict[str, float], form: str, factor: int = 1) -> str:
    mean, low, high = (form % (factor * value) for value in list(figure.values())[:3])
    return f"{mean} [{low}, {high}]"
