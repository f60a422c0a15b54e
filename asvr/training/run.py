"""Runs a recipe: reads and checks all data first, then stage after stage into one folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asvr.data.dataset import Source, load_source
from asvr.recipes.derive import as_json, flatten, recipe_hash
from asvr.recipes.spec import Recipe, Stage
from asvr.training.provenance import provenance
from asvr.training.stage import Machine, StageInputs, run_stage

MACHINE = Machine()


def run_recipe(
    recipe: Recipe,
    out: Path,
    *,
    data: Mapping[str, Sequence[Source]],
    companions: Sequence[Source] = (),
    seed: int = 0,
    machine: Machine = MACHINE,
    skip_bad: bool = False,
    parent: Recipe | None = None,
) -> Path:
    """Trains every stage of a recipe, resuming what an earlier call has begun.

    Args:
        recipe: What to train.
        out: The run folder.
        data: Sources of each stage, by the stage's name.
        companions: Sources of unlabelled pictures, for stages that take them.
        seed: Decides initial weights and the order of the data.
        machine: How the run is laid out.
        skip_bad: Leave out broken records, counted in `skipped.txt`, instead of refusing them.
        parent: The named recipe that this one was derived from.

    Returns:
        Folder of the last stage; its `model/` loads with `from_pretrained`.

    Raises:
        ValueError: If the data does not fit the recipe, or `out` holds another run.
        FileNotFoundError: If a file or an image is missing.
    """
    inputs = read_inputs(recipe, data, companions, skip_bad=skip_bad, out=out)
    sources = [source for stage in recipe.stages for source in data[stage.name]] + list(companions)
    claim(out, recipe, parent or recipe, sources, seed=seed)
    previous = None
    for stage in recipe.stages:
        previous = run_stage(
            recipe, stage, inputs[stage.name], out / stage.name, previous=previous, seed=seed, machine=machine
        )
    assert previous is not None
    return previous


def read_inputs(
    recipe: Recipe,
    data: Mapping[str, Sequence[Source]],
    companions: Sequence[Source],
    *,
    skip_bad: bool,
    out: Path,
) -> dict[str, StageInputs]:
    """Reads the conversations of every stage before the first one trains."""
    skipped: list[str] = []

    def read(sources: Sequence[Source]) -> list:
        return [one for source in sources for one in load_source(source, skip_bad=skip_bad, on_skip=skipped.append)]

    unlabelled = read(companions) if any(stage.companions for stage in recipe.stages) else []
    inputs = {
        stage.name: StageInputs(
            conversations=read(_sources_of(stage, data)), companions=unlabelled if stage.companions else []
        )
        for stage in recipe.stages
    }
    if skipped:
        out.mkdir(parents=True, exist_ok=True)
        (out / "skipped.txt").write_text("".join(f"{reason}\n" for reason in skipped))
    for stage in recipe.stages:
        if stage.companions and not unlabelled:
            raise ValueError(f"stage {stage.name!r} takes unlabelled pictures: name a file of them with --unlabelled")
    return inputs


def _sources_of(stage: Stage, data: Mapping[str, Sequence[Source]]) -> Sequence[Source]:
    if not data.get(stage.name):
        raise ValueError(
            f"stage {stage.name!r} has no data: it is meant for {stage.data}; add --data {stage.name}=FILE"
        )
    return data[stage.name]


def claim(out: Path, recipe: Recipe, parent: Recipe, sources: Sequence[Source], *, seed: int) -> None:
    """Writes what the run is into its folder, or checks that the folder is already this run's.

    Raises:
        ValueError: If the folder holds a run of another recipe, seed or data.
    """
    found = provenance(sources, seed=seed)
    identity = {
        "recipe": recipe_hash(recipe),
        "seed": seed,
        "data": sorted(entry["sha256"] for entry in found["data"]),
    }
    path = out / "recipe.json"
    if path.is_file():
        _check_same(out, json.loads(path.read_text()), identity, recipe)
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "provenance.json").write_text(json.dumps(found, indent=2) + "\n")
    before, after = flatten(parent), flatten(recipe)
    changes = {key: after[key] for key in after if after[key] != before.get(key)} if parent is not recipe else {}
    facts = {
        "name": recipe.name,
        "parent": parent.name,
        "changes": changes,
        "identity": identity,
        "fields": flatten(recipe),
    }
    path.write_text(json.dumps({**facts, "recipe": as_json(recipe)}, indent=2) + "\n")


def _check_same(out: Path, kept: dict[str, Any], identity: dict[str, Any], recipe: Recipe) -> None:
    differing = [name for name, value in identity.items() if kept["identity"][name] != value]
    if not differing:
        return
    now = json.loads(json.dumps(flatten(recipe)))
    fields = [name for name in {**now, **kept["fields"]} if now.get(name) != kept["fields"].get(name)]
    raise ValueError(
        f"{out} holds another run: its {', '.join(differing)} differ"
        + (f" (fields {', '.join(fields)})" if "recipe" in differing else "")
        + ": choose another --out, or delete the folder"
    )
