"""Runs a study: every arm with every seed, several at a time, and compares what they answered."""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from asvr.evaluation.arms import load_arms
from asvr.evaluation.compare import compare, compare_all
from asvr.evaluation.comparison import Comparison, write_comparisons
from asvr.studies.job import is_done, run_job
from asvr.studies.plan import Arm, Job, Study
from asvr.studies.watch import Watch
from asvr.training.provenance import provenance
from asvr.training.stage import Machine

QUIET = Machine(progress=False)


def run_study(study: Study, out: Path, *, jobs: int, machine: Machine = QUIET) -> list[Comparison]:
    """Trains and evaluates what is not yet there, and writes `study.json` and `comparison.json`.

    Args:
        study: What is compared.
        out: The study's folder; each run goes to `ARM/seed-SEED`.
        jobs: Runs at a time, each in a process with one thread; the arithmetic does not depend on it.
        machine: How each run is laid out.

    Raises:
        ValueError: If a run refuses its input; those that are finished are kept, and the message names the run's log.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    first = [arm for arm in study.arms if arm.equal_time_with is None]
    ran = run_jobs([_job(study, arm, seed, out, machine) for seed in study.seeds for arm in first], jobs=jobs)
    matched = [match_time(study, arm, out) for arm in study.arms if arm.equal_time_with is not None]
    ran += run_jobs([_job(study, arm, seed, out, machine) for seed in study.seeds for arm in matched], jobs=jobs)
    if ran or not (out / "study.json").is_file():
        _write_study(study, [*first, *matched], out, seconds=time.perf_counter() - started)
    return compare_study(study, out)


def default_jobs() -> int:
    """Gives one run per processor."""
    return os.cpu_count() or 1


def compare_study(study: Study, out: Path) -> list[Comparison]:
    """Compares every arm with the first, and an arm with the one trained as long; writes `comparison.json` and
    `equal_time.json`.
    """
    on = study.evaluation.data.stem
    arms = {arm.name: arm for arm in load_arms([out / arm.name for arm in study.arms], on=on)}
    baseline, *others = arms.values()
    about = {"evaluation": on, "prompt_hash": baseline.prompt_hash, "seeds": list(baseline.runs)}
    comparisons = compare_all(baseline, others) if others else []
    write_comparisons(out / "comparison.json", comparisons, about=about)
    matched = [(arm.name, arm.equal_time_with) for arm in study.arms if arm.equal_time_with is not None]
    equal_time = [compare(arms[name], arms[other]) for name, other in matched]
    write_comparisons(out / "equal_time.json", equal_time, about=about)
    return comparisons


def match_time(study: Study, arm: Arm, out: Path) -> Arm:
    """Gives an arm the epochs in its last stage that make it train as long as the arm it is matched with.

    Seconds are those of the baseline's runs, which have the same step, as medians over the seeds. What was worked out
    once is kept, so that a resumed study trains the same recipe.
    """
    kept = out / arm.name / "epochs.json"
    stage = arm.recipe.stages[-1]
    if kept.is_file():
        epochs = json.loads(kept.read_text())["epochs"]
    else:
        assert arm.equal_time_with is not None
        own, target = _seconds(study, study.arms[0], out), _seconds(study, study.arm(arm.equal_time_with), out)
        spare = sum(target.values()) - sum(own.values())
        epochs = round(stage.optimisation.epochs * max(1.0, 1 + spare / own[stage.name]), 2)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"epochs": epochs, "own_seconds": own, "matched_seconds": target}) + "\n")
    longer = replace(stage, optimisation=replace(stage.optimisation, epochs=epochs))
    return replace(arm, recipe=replace(arm.recipe, stages=(*arm.recipe.stages[:-1], longer)))


def _seconds(study: Study, arm: Arm, out: Path) -> dict[str, float]:
    """Gives the training seconds of each stage, as the median over seeds."""

    def read(stage: str, seed: int) -> float:
        return json.loads((out / arm.name / f"seed-{seed}" / stage / "stage.json").read_text())["seconds"]

    return {stage.name: median(read(stage.name, seed) for seed in study.seeds) for stage in arm.recipe.stages}


def _job(study: Study, arm: Arm, seed: int, out: Path, machine: Machine) -> Job:
    return Job(arm=arm, seed=seed, folder=out / arm.name / f"seed-{seed}", study=study, machine=machine)


def run_jobs(jobs_to_do: Sequence[Job], *, jobs: int) -> int:
    """Runs what is not yet finished in worker processes; each loads the libraries once and computes with one thread.

    Args:
        jobs_to_do: The runs, of one study or of several.
        jobs: Runs at a time.

    Returns:
        How many there were still to run.

    Raises:
        ValueError: If a run refuses its input; those that are finished are kept, and the message names the run's log.
    """
    pending = [job for job in jobs_to_do if not is_done(job)]
    if not pending:
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(pending)), mp_context=context) as pool, Watch(pending) as watch:
        futures = {pool.submit(run_job, job): job for job in pending}
        try:
            watch.until_done(futures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        # Where one has failed, those that have not begun are left for the next call.
        pool.shutdown(cancel_futures=True)
        for future, job in futures.items():
            if not future.cancelled():
                _raise_named(future, job)
    return len(pending)


def _raise_named(future: Future, job: Job) -> None:
    error = future.exception()
    if isinstance(error, (ValueError, OSError)):
        log = job.folder / "log.txt"
        raise ValueError(f"{job.arm.name}, seed {job.seed}: {error} (log: {log})") from error
    if error is not None:
        raise error


def _write_study(study: Study, arms: Sequence[Arm], out: Path, *, seconds: float) -> None:
    sources = [*(source for group in study.data.values() for source in group), *study.companions, study.evaluation]
    content: dict[str, Any] = {
        "name": out.name,
        "title": study.title,
        "arms": [{"name": arm.name, "recipe": arm.recipe.name, "note": arm.note} for arm in arms],
        "seeds": list(study.seeds),
        "on": study.evaluation.data.stem,
        "images": str(study.evaluation.images and study.evaluation.images.resolve()),
        "baseline": study.arms[0].name,
        "provenance": provenance(sources, seed=study.seeds[0]),
        "seconds": seconds,
    }
    (out / "study.json").write_text(json.dumps(content, indent=2) + "\n")
