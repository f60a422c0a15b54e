"""`asvr tokenizer train` as a function: checks, trains, judges and saves."""

import json
import sys
from pathlib import Path
from typing import Any

from asvr.data.pictures import Pictures, names_sha256
from asvr.derive import as_json
from asvr.disk import write_whole
from asvr.environment import environment
from asvr.targets.storage import differences
from asvr.targets.towers import fingerprint
from asvr.tokenizer_training.batches import TrainingPictures
from asvr.tokenizer_training.build import build_objective
from asvr.tokenizer_training.judging import judge
from asvr.tokenizer_training.loop import Layout, TrainingRun
from asvr.tokenizer_training.metrics import MetricsLog
from asvr.tokenizer_training.objective import TokenizerObjective
from asvr.tokenizer_training.spec import TokenizerRecipe
from asvr.tokenizer_training.stepping import Stepper
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.settings import OnProgress
from asvr.tokenizers.workspace import Workspace

DONE, METRICS, QUARANTINE, STATE = "training.json", "metrics.jsonl", "quarantine.txt", "state"


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody of the progress."""


def train_tokenizer(
    recipe: TokenizerRecipe,
    pictures: Pictures,
    out: Path,
    *,
    seed: int = 0,
    layout: Layout | None = None,
    skip_bad: bool = False,
    on_progress: OnProgress = silent,
) -> dict[str, Any]:
    """Trains a recipe into a folder; the same call continues what was cut short, and leaves alone what is finished.

    Under `torchrun` every process calls it, with a folder that all of them see.

    Args:
        recipe: The recipe.
        pictures: The pictures; captions are needed where the contrastive loss has a weight.
        out: Gets a tokenizer for each branch in `semantic` and `appearance`, `metrics.jsonl`, and `training.json`.
        seed: Decides initial weights, codebooks, order and crops.
        layout: How the run is laid out on the machine.
        skip_bad: Whether pictures that cannot be used are counted in `quarantine.txt` instead of stopping the run.
        on_progress: Told of each part of the work that is done.

    Returns:
        What `training.json` says.

    Raises:
        ValueError: If recipe, tower, losses and pictures do not go together, a picture cannot be used, training
            diverges, or the folder holds another run.
        OSError: If the disk does not take the results.
    """
    ranks, layout = Ranks(), layout or Layout()
    layout.parts(recipe.optimisation.batch_size, ranks.count)
    objective = build_objective(recipe, seed=seed).to(ranks.device)
    shown = TrainingPictures(
        pictures,
        objective.features.prepare,
        seed=seed,
        crop=recipe.crop,
        captioned=objective.semantic is not None and objective.semantic.captions is not None,
        skip_bad=skip_bad,
    )
    decisive = _decisive(recipe, objective, pictures, seed=seed)
    if (out / DONE).is_file():
        return _finished(out, decisive)
    workspace = Workspace(out / STATE, decisive, ranks, on_progress)
    run = TrainingRun(
        Stepper(recipe, objective, ranks=ranks, log=MetricsLog(out / METRICS, ranks)), shown, workspace, layout
    )
    run.run()
    if ranks.is_first:
        _finish(run, out, decisive)
    ranks.wait()
    return json.loads((out / DONE).read_text())


def _decisive(
    recipe: TokenizerRecipe, objective: TokenizerObjective, pictures: Pictures, *, seed: int
) -> dict[str, Any]:
    """Gives everything that decides the outcome."""
    kept = {name: value for name, value in as_json(recipe).items() if name not in ("name", "source", "data")}
    return {
        "recipe": kept,
        "seed": seed,
        "tower_sha256": fingerprint(objective.features.tower),
        "pictures": {"count": len(pictures), "names_sha256": names_sha256(pictures)},
    }


def _finished(out: Path, decisive: dict[str, Any]) -> dict[str, Any]:
    facts = json.loads((out / DONE).read_text())
    changed = differences(facts["decisive"], json.loads(json.dumps(decisive)))
    if changed:
        raise ValueError(
            f"{out} holds a tokenizer trained with other settings ({'; '.join(changed)}): choose another --out"
        )
    return facts


def _finish(run: TrainingRun, out: Path, decisive: dict[str, Any]) -> None:
    recipe, objective = run.stepper.recipe, run.stepper.objective
    figures = judge(objective, run.pictures)
    faults = dict(run.faults)
    facts = {
        "recipe": recipe.name,
        "source": recipe.source,
        "decisive": decisive,
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "processes": run.ranks.count,
        "left_out": len(faults),
        "command": sys.argv,
        "environment": environment(),
        "held_out": figures,
    }
    if faults:
        write_whole(out / QUARANTINE, "".join(f"{reason}\n" for _, reason in sorted(faults.items())))
    objective.cpu()
    for name, tokenizer in objective.tokenizers().items():
        tokenizer.about = {**{key: value for key, value in facts.items() if key != "held_out"}, **figures[name]}
        tokenizer.save_pretrained(out / name)
    write_whole(out / DONE, json.dumps(facts, indent=2) + "\n")
    run.workspace.remove()
