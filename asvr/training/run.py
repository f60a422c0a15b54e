"""Runs a recipe: reads and checks all data first, then stage after stage into one folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from asvr.data.conversation import Conversation
from asvr.data.dataset import Source, load_source
from asvr.derive import as_json, flatten, recipe_hash
from asvr.disk import write_whole
from asvr.recipes.spec import Recipe
from asvr.training.check import check_inputs
from asvr.training.mixture import Taken, read_mixture
from asvr.training.provenance import provenance
from asvr.training.stage import DONE, Machine, StageInputs, run_stage

MACHINE = Machine()
RUN, SKIPPED, PROVENANCE = "recipe.json", "skipped.txt", "provenance.json"


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
    skipped: list[str] = []
    inputs, taken = read_inputs(recipe, data, companions, seed=seed, skip_bad=skip_bad, on_skip=skipped.append)
    sources = [source for stage in recipe.stages for source in data[stage.name]] + list(companions)
    found = provenance(sources, seed=seed)
    found["data"] = [{**asdict(part), **entry} for part, entry in zip(taken, found["data"], strict=True)]
    facts = describe_run(recipe, parent or recipe, found)
    check_claim(out, facts)
    unfinished = {name: given for name, given in inputs.items() if not (out / name / DONE).is_file()}
    if unfinished:
        checked = check_inputs(recipe, unfinished, machine=machine, skip_bad=skip_bad, on_skip=skipped.append)
        inputs = {**inputs, **checked}
    claim(out, facts, found, skipped)
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
    seed: int,
    skip_bad: bool,
    on_skip: Callable[[str], None],
) -> tuple[dict[str, StageInputs], list[Taken]]:
    """Reads the conversations of every stage before the first one trains.

    Returns:
        What each stage reads, and what is taken of each source: stage after stage, then the companions.

    Raises:
        ValueError: If a stage has no data or not that of its mixture, a file is broken, or there are unlabelled
            pictures and no stage for them, or the reverse.
    """
    for stage in recipe.stages:
        if stage.companions and not companions:
            raise ValueError(f"stage {stage.name!r} takes unlabelled pictures: name a file of them with --unlabelled")
    if companions and not any(stage.companions for stage in recipe.stages):
        raise ValueError(
            f"recipe {recipe.name!r} takes no unlabelled pictures, so --unlabelled {companions[0].data} would change "
            "nothing: leave it out, or use a recipe whose stages have companions"
        )
    unlabelled: list[Conversation] = []
    riding = []
    for source in companions:
        found = load_source(source, skip_bad=skip_bad, on_skip=on_skip)
        riding.append(Taken("companions", source.label, 1.0, len(found), len(found)))
        unlabelled += found
    inputs, taken = {}, []
    for stage in recipe.stages:
        conversations, parts = read_mixture(
            stage, data.get(stage.name, ()), seed=seed, skip_bad=skip_bad, on_skip=on_skip
        )
        inputs[stage.name] = StageInputs(conversations=conversations, companions=unlabelled if stage.companions else [])
        taken += parts
    return inputs, taken + riding


def describe_run(recipe: Recipe, parent: Recipe, found: dict[str, Any]) -> dict[str, Any]:
    """Says what a run is: its recipe, what sets it apart from its parent, and what must be equal to continue it."""
    before, after = flatten(parent), flatten(recipe)
    changes = {key: after[key] for key in after if after[key] != before.get(key)} if parent is not recipe else {}
    return {
        "name": recipe.name,
        "parent": parent.name,
        "changes": changes,
        "identity": {
            "recipe": recipe_hash(recipe),
            "seed": found["seed"],
            "data": sorted(f"{entry['stage']}/{entry['copy_of']}={entry['sha256']}" for entry in found["data"]),
        },
        "data": found["data"],
        "fields": after,
        "recipe": as_json(recipe),
    }


def check_claim(out: Path, facts: dict[str, Any]) -> None:
    """Checks that a folder is free or this run's own.

    Raises:
        ValueError: If it holds a run of another recipe, seed or data.
    """
    if not (out / RUN).is_file():
        return
    kept = json.loads((out / RUN).read_text())
    differing = [name for name, value in facts["identity"].items() if kept["identity"][name] != value]
    if not differing:
        return
    now = json.loads(json.dumps(facts["fields"]))
    fields = [name for name in {**now, **kept["fields"]} if now.get(name) != kept["fields"].get(name)]
    raise ValueError(
        f"{out} holds another run: its {', '.join(differing)} differ"
        + (f" (fields {', '.join(fields)})" if "recipe" in differing else "")
        + ": choose another --out, or delete the folder"
    )


def claim(out: Path, facts: dict[str, Any], found: dict[str, Any], skipped: Sequence[str]) -> None:
    """Writes into a fresh run folder what the run is, where it comes from, and which records it leaves out."""
    if (out / RUN).is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / PROVENANCE, json.dumps(found, indent=2) + "\n")
    if skipped:
        # A record that is taken several times is left out once.
        reasons = list(dict.fromkeys(skipped))
        write_whole(out / SKIPPED, "".join(f"{reason}\n" for reason in reasons))
        Console(stderr=True).print(f"left out {len(reasons)} record(s); {out / SKIPPED} says why", soft_wrap=True)
    write_whole(out / RUN, json.dumps(facts, indent=2) + "\n")
