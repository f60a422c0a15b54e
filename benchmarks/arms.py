"""Seconds, FLOPs and head parameters of a training step of every arm, side by side in one run.

    python benchmarks/arms.py [--parts runs/reproduce/parts] [--rounds 7] [--arms NAME ...] [--out benchmarks/arms.json]

Each arm's last stage is built once from the stand-ins of `asvr reproduce ... --tiny` (made here if they are missing),
with one batch of 16 conversations in memory. A step is forward, backward and AdamW. The arms take turns, round after
round, so that whatever else the machine does falls on all of them; the median of the rounds counts, and the ratio is to
the text-only arm of the same round. Run it on a quiet machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from asvr.environment import environment
from asvr.objective import Objective
from asvr.recipes import RECIPES
from asvr.recipes.shrink import shrink
from asvr.recipes.tables import LLAVA, TABLES
from asvr.studies.costs import costs_of, training_step
from asvr.studies.stand_ins import make_stand_ins


def prepare_step(objective: Objective, batch: dict[str, Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.AdamW([each for each in objective.parameters() if each.requires_grad], lr=1e-4)

    def step() -> float:
        begun = time.perf_counter()
        objective(**batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - begun

    return step


def run(names: list[str], parts: Path, rounds: int) -> dict[str, Any]:
    recipes = {name: shrink(RECIPES[name], parts) for name in names}
    make_stand_ins(recipes.values(), parts)
    costs = {name: costs_of(recipe, parts, parts.parent / "arms" / name) for name, recipe in recipes.items()}
    steps = {name: prepare_step(*training_step(recipe, parts)) for name, recipe in recipes.items()}
    for step in steps.values():
        step()
    turns = track(range(rounds), description="rounds")
    seconds = [{name: step() for name, step in steps.items()} for _ in turns]
    arms = {
        name: {
            "seconds": round(median(turn[name] for turn in seconds), 4),
            "ratio": round(median(turn[name] / turn[LLAVA] for turn in seconds), 3),
            "head_parameters": costs[name].head_parameters,
            "step_flops": costs[name].step_flops,
            "flops_ratio": round(costs[name].step_flops / costs[LLAVA].step_flops, 3),
        }
        for name in names
    }
    return {"arms": arms, "baseline": LLAVA, "rounds": rounds, "threads": torch.get_num_threads(), **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table(box=None)
    table.add_column("arm", overflow="fold")
    for heading in ("s/step", "ratio", "head parameters", "GFLOP/step", "ratio"):
        table.add_column(heading, justify="right")
    for name, row in found["arms"].items():
        flops = f"{row['step_flops'] / 1e9:.1f}"
        figures = (f"{row['seconds']:.3f}", f"{row['ratio']:.2f}", f"{row['head_parameters']:,}")
        table.add_row(name, *figures, flops, f"{row['flops_ratio']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=Path, default=Path("runs/reproduce/parts"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--arms", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    everything = dict.fromkeys(row.recipe for table in TABLES.values() for row in table.rows)
    chosen = [LLAVA, *(name for name in given.arms or everything if name != LLAVA)]
    results = run(chosen, given.parts.resolve(), given.rounds)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
