"""One run of a study, in a process of its own: train, answer, reconstruct."""

import contextlib
import json
from pathlib import Path

import torch

from asvr.data.dataset import load_source
from asvr.derive import recipe_hash
from asvr.evaluation.answer import answer_questions
from asvr.evaluation.score import write_scores
from asvr.recipes.supervision import CodesSpec
from asvr.studies.plan import Job
from asvr.studies.reconstruction import write_reconstruction
from asvr.training.run import run_recipe

DONE = "done.json"
NUM_PICTURES = 64
"""Pictures on which the head's reconstruction is measured."""


def is_done(job: Job) -> bool:
    """Says whether a run is finished.

    Raises:
        ValueError: If its folder holds a finished run of another recipe.
    """
    path = job.folder / DONE
    if not path.is_file():
        return False
    if json.loads(path.read_text())["recipe"] != recipe_hash(job.arm.recipe):
        raise ValueError(f"{job.folder} holds a run of another recipe: choose another --out, or delete the folder")
    return True


def run_job(job: Job) -> None:
    """Does what is still missing of a run; what it would print goes to `log.txt` in its folder."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "log.txt").open("a", buffering=1) as log, contextlib.redirect_stdout(log):
        _run(job)
    facts = {"arm": job.arm.name, "seed": job.seed, "recipe": recipe_hash(job.arm.recipe)}
    (job.folder / DONE).write_text(json.dumps(facts) + "\n")


def _run(job: Job) -> None:
    study, recipe = job.study, job.arm.recipe
    takes_companions = any(stage.companions for stage in recipe.stages)
    last = run_recipe(
        recipe,
        job.folder,
        data=study.data,
        companions=study.companions if takes_companions else (),
        seed=job.seed,
        machine=job.machine,
    )
    asked = study.evaluation
    out = job.folder / "evaluation" / asked.data.stem
    device = "cuda" if torch.cuda.is_available() else "cpu"
    answer_questions(last / "model", asked.data, asked.images, out, max_new_tokens=study.max_new_tokens, device=device)
    write_scores(out)
    first = next(iter(recipe.stages[-1].supervision.values()), None)
    if first is not None and isinstance(first.target, CodesSpec):
        write_reconstruction(recipe, job.folder, some_pictures(job), seed=job.seed)


def some_pictures(job: Job) -> list[Path]:
    """Takes the first pictures of the evaluation, which no run has been trained on."""
    paths = [Path(image) for one in load_source(job.study.evaluation) for image in one.images]
    return list(dict.fromkeys(paths))[:NUM_PICTURES]
