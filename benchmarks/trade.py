"""What cheaper supervision costs and gives: a study's arms, cost against reconstruction and against answers.

    python benchmarks/trade.py STUDY [--rounds 15] [--picture docs/trade.png] [--page docs/speed.md]
        [--out benchmarks/trade.json]

STUDY is the folder of `asvr study`, its first arm text-only. Cost is measured here, not by the study, whose runs share
the machine: a batch of the evaluation's records is in memory, a step is forward, backward and AdamW of the last stage,
the arms take turns, and the median of the ratios to the first arm in the same round counts; beside it stands the ratio
of FLOPs as torch counts them. Run it on a quiet machine, from where the study was run. Reconstruction is of held-out
pictures, the head choosing every code itself; the loss is that of training, over the last fifth of the last stage, and
of the first depth, which every head over codes predicts from the same state. The page gets picture and table between
its two `trade` comments.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from os.path import relpath
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from arms import prepare_step
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from asvr.data.dataset import Source
from asvr.derive import derive, flatten
from asvr.environment import environment
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.reports.results import Arm, Run, Study, read_study
from asvr.reports.style import FAINT, INK, PLAIN, arm_colours
from asvr.reports.summary import comparison_of, in_words, wider_interval
from asvr.studies.costs import count_flops, training_step_on

LATE = 0.2
"""Share of the last stage's steps over which the loss is averaged: its own noise is larger than what still changes."""
BEGIN, END = "<!-- trade: written by benchmarks/trade.py -->", "<!-- /trade -->"
Row = dict[str, Any]


def measure(study: Study, rounds: int) -> dict[str, Row]:
    """Times a step of every arm in turns, and counts its FLOPs."""
    where = study.about["provenance"]["data"][-1]
    source = Source(Path(where["data"]), Path(where["images"]))
    made = {arm.name: training_step_on(recipe_of(arm), source) for arm in study.arms}
    flops = {name: count_flops(*each) for name, each in made.items()}
    steps = {name: prepare_step(*each) for name, each in made.items()}
    for step in steps.values():
        step()
    turns = [{name: step() for name, step in steps.items()} for _ in track(range(rounds), description="rounds")]
    base = study.baseline.name
    return {
        name: {
            "seconds": round(median(turn[name] for turn in turns), 4),
            "time": round(median(turn[name] / turn[base] for turn in turns), 3),
            "flops": round(flops[name] / flops[base], 3),
        }
        for name in steps
    }


def recipe_of(arm: Arm) -> Recipe:
    """Gives the recipe that an arm has trained: the one it names, with the fields that the study has changed."""
    named = RECIPES[arm.recipe]
    known = json.loads(json.dumps(flatten(named)))
    return derive(named, {path: text(value) for path, value in arm.runs[0].fields.items() if value != known[path]})


def text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def given_by(study: Study, arm: Arm) -> Row:
    """Gives what an arm has learnt."""
    row: Row = {"answers": mean(run.scores["average"] for run in arm.runs)}
    comparison = comparison_of(study, arm)
    if comparison is not None:
        average = comparison["average"]
        row |= {"difference": average["difference"], "interval": wider_interval(average), "verdict": average["verdict"]}
    found = [run.reconstruction for run in arm.runs if run.reconstruction is not None]
    if len(found) == len(arm.runs):
        right = [list(each["accuracy"].values())[-1] for each in found]
        row |= {"right": spread([each[0] for each in right]), "right_all": spread([mean(each) for each in right])}
        row |= {"loss": spread([late(run, "loss_depth_0") for run in arm.runs])}
        row |= {"most_frequent": found[0]["most_frequent"][0]}
    return row


def late(run: Run, figure: str) -> float:
    """Gives a figure of the first visual loss, mean over the end of the last stage."""
    stage, name = run.stages[-1], f"{run.supervision[0]}_{figure}"
    lines = [line for line in stage.metrics if name in line]
    return mean(line[name] for line in lines if line["step"] > (1 - LATE) * stage.steps or line is lines[-1])


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": mean(values), "low": min(values), "high": max(values)}


def collect(folder: Path, rounds: int) -> dict[str, Any]:
    study = read_study(folder)
    rows = {arm.name: given_by(study, arm) for arm in study.arms}
    if study.baseline.runs[0].supervision or not any("right" in row for row in rows.values()):
        raise SystemExit(
            f"{folder}: the first arm must be text-only, and another have a visual loss over codes, but the arms are "
            f"{', '.join(rows)}: run asvr study tiny-llava tiny-asvr tiny-asvr-quarter tiny-asvr-linear ..."
        )
    costs = measure(study, rounds)
    return {
        "arms": {name: costs[name] | row for name, row in rows.items()},
        "baseline": study.baseline.name,
        "study": study.about["title"],
        "seeds": len(study.about["seeds"]),
        "made": study.about["provenance"],
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        **environment(),
    }


HEADINGS = ("arm", "time", "FLOP", "right, depth 1", "right, all", "loss, depth 1", "answers", "points")


def cells(name: str, row: Row) -> tuple[str, ...]:
    head = ("–", "–", "–")
    if "right" in row:
        shares = tuple(f"{100 * row[each]['mean']:.1f} %" for each in ("right", "right_all"))
        head = (*shares, f"{row['loss']['mean']:.3f}")
    words = "baseline"
    if "difference" in row:
        words = f"{row['difference']:+.1f} {in_words(row['interval'])}"
    return name, f"{row['time']:.2f}", f"{row['flops']:.2f}", *head, f"{row['answers']:.1f} %", words


def show(found: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for position, heading in enumerate(HEADINGS):
        justify = "right" if position else "left"
        table.add_column(heading.replace(", ", "\n"), justify=justify, overflow="fold", no_wrap=position > 0)
    for name, row in found["arms"].items():
        table.add_row(*cells(name, row))
    Console(highlight=False).print(table)


def write_page(page: Path, found: Mapping[str, Any], picture: Path | None) -> None:
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page} must have a line {BEGIN} and, below it, a line {END}: the table goes between them")
    lines = [HEADINGS, ("---", *("---:" for _ in HEADINGS[1:]))]
    lines += [cells(f"`{name}`", row) for name, row in found["arms"].items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    made = found["made"]
    note = (
        f"{found['study']}; {found['seeds']} seeds, commit {made['commit'][:7]}, {made['hardware']}.\n"
        f"Time and FLOPs of a step are beside the first arm's, in turns, {found['rounds']} rounds; points are the "
        "difference to it with the wider\n95 % interval. Bars in the picture: least and greatest over seeds; for "
        "answers that interval."
    )
    shown = f"![Time of a step against codes, loss and answers]({relpath(picture, page.parent)})\n\n" if picture else ""
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{shown}{table}\n\n{note}\n{END}{after}")


def draw(found: Mapping[str, Any], picture: Path) -> None:
    rows, colours = found["arms"], arm_colours(list(found["arms"]))
    with rc_context(PLAIN):
        figure = Figure(figsize=(10, 3.7), layout="constrained")
        right, loss, answers = figure.subplots(1, 3)
        panel(right, rows, colours, lambda row: over_seeds(row, "right", 100))
        right.set(title="Codes right, depth 1", ylabel="% of held-out pictures' codes", ylim=(0, None))
        floor = next(row["most_frequent"] for row in rows.values() if "right" in row)
        right.axhline(100 * floor, color=INK, linewidth=1, linestyle=(0, (2, 1.5)))
        right.text(0.02, 100 * floor, "commonest code", fontsize=8, va="top", transform=right.get_yaxis_transform())
        panel(loss, rows, colours, lambda row: over_seeds(row, "loss", 1))
        loss.set(title="Loss, depth 1", ylabel="nats, end of training")
        panel(answers, rows, colours, answered)
        answers.set(title="Answers", ylabel=f"points beside {found['baseline']}, 95 % interval")
        answers.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        marks, names = answers.get_legend_handles_labels()
        figure.legend(marks, names, loc="outside upper center", ncols=len(names), frameon=False)
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, dpi=150)


def over_seeds(row: Row, name: str, factor: float) -> list[float]:
    """Gives a figure with its least and greatest over seeds; nothing where the arm has none."""
    return [factor * row[name][each] for each in ("mean", "low", "high")] if name in row else []


def answered(row: Row) -> list[float]:
    """Gives the difference with its interval, where there are enough pictures for one; the first arm is zero."""
    if "difference" not in row:
        return [0.0, 0.0, 0.0]
    known = in_words(row["interval"]).startswith("[")
    return [row["difference"], *(row["interval"] if known else [row["difference"]] * 2)]


def panel(
    axes: Axes, rows: Mapping[str, Row], colours: Mapping[str, str], figure: Callable[[Row], list[float]]
) -> None:
    for name, row in rows.items():
        if not (found := figure(row)):
            continue
        value, low, high = found
        axes.plot([row["time"]] * 2, [low, high], color=colours[name], linewidth=1.6, solid_capstyle="butt")
        axes.plot(row["time"], value, "o", color=colours[name], markersize=6, label=name)
    times = [row["time"] for row in rows.values()]
    axes.set_xlim(min(times) - 0.03, max(times) + 0.03)
    axes.set_xlabel("time of a training step, text-only = 1")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = collect(given.study, given.rounds)
    show(results)
    if given.picture:
        draw(results, given.picture)
    if given.page:
        write_page(given.page, results, given.picture)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
