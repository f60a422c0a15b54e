"""Runs of shrunk recipes, and what they leave behind."""

import json
from pathlib import Path
from typing import Any

from asvr.data.dataset import Source
from asvr.training.run import run_recipe
from asvr.training.stage import Machine
from tests.parts import shrink

QUIET = Machine(micro_batch=4, log_every=1, save_every=1, progress=False)
FILES = {"pretrain": "captions", "instruct": "instruct"}
MIDDLE = {"middle": "captions"}
"""Of the recipes with three stages."""


def sources(records: Path) -> dict[str, list[Source]]:
    return {stage: [Source(records / f"{file}.json", records / "images")] for stage, file in (FILES | MIDDLE).items()}


def train(
    name: str,
    parts: Path,
    out: Path,
    *,
    machine: Machine = QUIET,
    seed: int = 0,
    skip_bad: bool = False,
    records: Path | None = None,
    also: tuple[str, ...] = (),
    **changes: str,
) -> Path:
    records = records or parts / "records"
    recipe = shrink(name, parts, **changes)
    data = sources(records)
    for given in data.values():
        given += [Source(records / f"{file}.json", records / "images") for file in also]
    companions = [Source(records / "unlabelled.json", records / "images")] if recipe.stages[0].companions else []
    return run_recipe(recipe, out, data=data, companions=companions, seed=seed, machine=machine, skip_bad=skip_bad)


def metrics(stage: Path) -> list[dict[str, Any]]:
    """Lines of the log without what a clock decides."""
    timing = ("seconds", "train_runtime", "train_samples_per_second", "train_steps_per_second")
    lines = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timing} for line in lines]


def model_bytes(stage: Path) -> dict[str, bytes]:
    files = [*(stage / "model").glob("*.safetensors"), *(stage / "heads").glob("*.safetensors")]
    return {path.name: path.read_bytes() for path in files}
