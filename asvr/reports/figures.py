"""The page's figures, one function each; all give an `<svg>` element."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from asvr.reports.curves import Curve, num_depths, run_curve, stage_curve
from asvr.reports.results import Arm, Study
from asvr.reports.style import FAINT, INK, arm_colours, label_ends, ordered_colours, render
from asvr.reports.summary import kinds_of, sign, wider_interval

ENCODING_COLOURS = ("#8c8c8c", "#0072b2", "#e69f00")
"""Of continuous features, semantic codes and appearance codes, in the order of `probes.json`."""


def text_loss(study: Study, stage: str) -> str:
    """Draws the text loss of every arm in one stage: the mean over seeds in a band from smallest to largest."""
    colours = arm_colours([arm.name for arm in study.arms])

    def draw(axes: Axes) -> None:
        ends = []
        for arm in study.arms:
            curve = stage_curve(arm, stage, "loss_text")
            if curve.is_empty:
                continue
            _draw_curve(axes, curve, colours[arm.name])
            ends.append((arm.name, float(curve.mean[-1]), colours[arm.name]))
        axes.set(title=f"{stage}: text loss", xlabel="optimisation step", ylabel="nats per text token, log scale")
        axes.set_yscale("log")
        axes.set_xlim(left=0)
        _plain_numbers(axes)
        label_ends(axes, ends)

    return render(draw, label=f"Text loss of every arm over the steps of stage {stage}", width=350, height=215)


def visual_losses(arm: Arm, supervision: str, *, num_codes: int | None) -> list[str]:
    """Draws a visual loss: by depth, with the share of right codes beside it, or as one curve where it has no codes."""
    if not num_depths(arm, supervision):
        return [whole_visual_loss(arm, supervision)]
    return [visual_loss(arm, supervision, num_codes=num_codes), code_accuracy(arm, supervision)]


def whole_visual_loss(arm: Arm, supervision: str) -> str:
    """Draws the loss of a head over features over all stages."""

    def draw(axes: Axes) -> None:
        _draw_curve(axes, run_curve(arm, f"loss_{supervision}"), ordered_colours(1)[0])
        _mark_stages(axes, arm)
        axes.margins(y=0.16)
        axes.set_xlim(left=0)
        axes.set(title=f"{arm.name}: visual loss", ylabel=f"{supervision} loss per visual token")
        axes.set_xlabel("optimisation step, stages joined")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return render(draw, label=f"Visual loss of {arm.name} over all steps", width=350, height=215)


def visual_loss(arm: Arm, supervision: str, *, num_codes: int | None) -> str:
    """Draws the visual loss at each depth over all stages, with the loss of guessing evenly."""

    def draw(axes: Axes) -> None:
        ends = _draw_depths(axes, arm, supervision, "loss", factor=1)
        axes.set(title=f"{arm.name}: visual loss", ylabel="nats per code")
        if num_codes is not None:
            _draw_level(axes, math.log(num_codes), f"all {num_codes} codes equally likely")
        label_ends(axes, ends)

    return render(draw, label=f"Visual loss of {arm.name} at each depth over all steps", width=350, height=215)


def code_accuracy(arm: Arm, supervision: str) -> str:
    """Draws the share of codes predicted rightly in training, given the right codes of the depths before."""

    def draw(axes: Axes) -> None:
        ends = _draw_depths(axes, arm, supervision, "accuracy", factor=100)
        axes.set(title=f"{arm.name}: codes predicted rightly", ylabel="% of training codes")
        axes.set_ylim(bottom=0)
        label_ends(axes, ends)

    return render(draw, label=f"Code accuracy of {arm.name} at each depth over all steps", width=350, height=215)


def differences(study: Study, comparison: Mapping[str, Any], *, limit: float) -> str:
    """Draws an arm's difference to the baseline by kind of question, with the wider interval of each.

    Args:
        study: The study.
        comparison: Of one arm.
        limit: Largest difference on the axis, in points.
    """
    colour = arm_colours([arm.name for arm in study.arms])[comparison["arm"]]
    rows = {"average": comparison["average"], **{kind: comparison["categories"][kind] for kind in kinds_of(study)}}

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.axhline(0.5, color=FAINT, linewidth=0.6)
        for row, difference in enumerate(rows.values()):
            low, high = wider_interval(difference)
            axes.plot([low, high], [row, row], color=colour, linewidth=2.4 if row == 0 else 1.4, solid_capstyle="butt")
            face = colour if sign(difference) else "white"
            size = 7 if row == 0 else 5.5
            axes.plot(difference["difference"], row, "o", color=colour, markerfacecolor=face, markersize=size)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(title=comparison["arm"], xlim=(-limit, limit), ylim=(len(rows) - 0.5, -0.5))
        axes.set_xlabel(f"points above {comparison['baseline']}")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    words = f"Difference of {comparison['arm']} to {comparison['baseline']} by kind of question, with intervals"
    return render(draw, label=words, width=235, height=30 + 17 * (len(rows) + 1))


def probes(content: Mapping[str, Any]) -> str:
    """Draws how often a linear probe reads each attribute from features and codes, with chance as a mark."""
    kinds, accuracy = content["kinds"], content["accuracy"]
    height = 0.8 / len(accuracy)

    def draw(axes: Axes) -> None:
        for position, (name, colour) in enumerate(zip(accuracy, ENCODING_COLOURS, strict=True)):
            values = [100 * accuracy[name][kind] for kind in kinds]
            places = np.arange(len(kinds)) - 0.4 + height * (position + 0.5)
            axes.barh(places, values, height=height * 0.86, color=colour)
            for place, value in zip(places, values, strict=True):
                axes.text(value + 1, place, f"{value:.1f}", va="center", fontsize=8)
            axes.text(values[0] + 16, places[0], name, va="center", color=colour, fontsize=8.5, fontweight="bold")
        for row, kind in enumerate(kinds):
            chance = 100 * content["chance"][kind]
            axes.plot([chance, chance], [row - 0.42, row + 0.42], color=INK, linewidth=1.1, linestyle=(0, (2, 1.5)))
        axes.text(100 * content["chance"][kinds[-1]], len(kinds) - 0.42, "commonest value", fontsize=8, va="top")
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set(xlim=(0, 165), ylim=(len(kinds) - 0.25, -0.5), xlabel="% of held-out objects read rightly")
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.tick_params(axis="y", length=0)

    return render(draw, label="Accuracy of linear probes on features and codes", width=350, height=250)


def reconstruction(arm: Arm) -> str | None:
    """Draws the share of codes that the head reconstructs by its own choices, after each stage; mean over seeds.

    Returns:
        None if it was not measured in every run.
    """
    found = [run.reconstruction for run in arm.runs if run.reconstruction is not None]
    if len(found) < len(arm.runs):
        return None
    moments = list(found[0]["accuracy"])
    colours = ["#c9c9c9", *ordered_colours(len(moments))[-2::-1]]
    depths = np.arange(len(found[0]["most_frequent"]))
    width = 0.8 / len(moments)

    def draw(axes: Axes) -> None:
        for position, (moment, colour) in enumerate(zip(moments, colours, strict=True)):
            values = 100 * np.mean([each["accuracy"][moment] for each in found], axis=0)
            places = depths - 0.4 + width * (position + 0.5)
            axes.bar(places, values, width=width * 0.88, color=colour, label=_after(moment))
            for place, value in zip(places, values, strict=True):
                axes.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=6.6)
        chance = 100 * np.mean([each["most_frequent"] for each in found], axis=0)
        axes.hlines(chance, depths - 0.44, depths + 0.44, color=INK, linewidth=1.1, linestyle=(0, (2, 1.5)))
        axes.plot([], [], color=INK, linewidth=1.1, linestyle=(0, (2, 1.5)), label="commonest code")
        axes.set_xticks(depths, [f"depth {depth + 1}" for depth in depths])
        axes.tick_params(axis="x", length=0)
        axes.set(title=arm.name, ylabel="% of codes reconstructed")
        axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
        axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=2, handlelength=1.2)

    return render(draw, label=f"Share of codes that the head of {arm.name} reconstructs", width=350, height=215)


def _after(moment: str) -> str:
    return moment if moment == "untrained" else f"after {moment}"


def _draw_curve(axes: Axes, curve: Curve, colour: str, *, factor: int = 1) -> None:
    """Draws the mean over seeds in its band; a curve of one point is a dot."""
    axes.fill_between(curve.steps, factor * curve.low, factor * curve.high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(curve.steps, factor * curve.mean, color=colour, marker="o" if len(curve.steps) == 1 else "", markersize=4)


def _draw_depths(axes: Axes, arm: Arm, supervision: str, figure: str, *, factor: int) -> list[tuple[str, float, str]]:
    """Draws a curve per depth and a thin line between stages; gives name, last value and colour of each curve."""
    ends = []
    for depth, colour in enumerate(ordered_colours(num_depths(arm, supervision))):
        curve = run_curve(arm, f"{supervision}_{figure}_depth_{depth}")
        _draw_curve(axes, curve, colour, factor=factor)
        ends.append((f"depth {depth + 1}", float(factor * curve.mean[-1]), colour))
    _mark_stages(axes, arm)
    axes.margins(y=0.16)
    axes.set_xlim(left=0)
    axes.set_xlabel("optimisation step, stages joined")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ends


def _mark_stages(axes: Axes, arm: Arm) -> None:
    after = 0
    for stage in arm.runs[0].stages:
        if after:
            axes.axvline(after, color=FAINT, linewidth=0.8)
        axes.annotate(
            stage.name,
            (after, 0.99),
            xytext=(3, 0),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            fontsize=8,
            va="top",
        )
        after += stage.steps


def _draw_level(axes: Axes, value: float, name: str) -> None:
    axes.axhline(value, color=INK, linewidth=1, linestyle=(0, (2, 1.5)))
    axes.annotate(name, (1, value), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8)


def _plain_numbers(axes: Axes) -> None:
    """Writes 0.5, 1, 2 and 5 on a log axis as such, or others where fewer than two of these fit."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(inside if len(inside) > 1 else np.geomspace(low, high, 5)[1:-1])
    axes.set_ylim(low, high)
