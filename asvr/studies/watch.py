"""Shows how far the runs of a study are, from the log that each writes."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from asvr.studies.job import is_done
from asvr.studies.plan import Job
from asvr.training.log import read_metrics

SECONDS_BETWEEN_LOOKS = 0.5


class Watch:
    """A progress bar over runs, and one for each that is under way; a context manager.

    Args:
        jobs: The runs.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.progress = Progress(
            TextColumn("{task.description:36}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        self.tasks: dict[Path, TaskID] = {}

    def __enter__(self) -> "Watch":
        """Starts drawing."""
        self.progress.start()
        self.total = self.progress.add_task("runs", total=len(self.jobs), state="")
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last state on the screen."""
        self.progress.stop()

    def until_done(self, futures: Iterable[Future]) -> None:
        """Looks at the runs' folders until every run has ended or one has failed."""
        futures = list(futures)
        while not all(future.done() for future in futures):
            if any(future.done() and future.exception() for future in futures):
                return
            self._look()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._look()

    def _look(self) -> None:
        finished = [job for job in self.jobs if is_done(job)]
        self.progress.update(self.total, completed=len(finished), state=f"{len(finished)}/{len(self.jobs)}")
        for job in self.jobs:
            if job in finished and job.folder in self.tasks:
                self.progress.remove_task(self.tasks.pop(job.folder))
            elif job not in finished and job.folder.is_dir():
                self._show(job)

    def _show(self, job: Job) -> None:
        if job.folder not in self.tasks:
            name = f"  {job.arm.name}, seed {job.seed}"
            self.tasks[job.folder] = self.progress.add_task(name, total=1.0, state="starting")
        for stage in reversed(job.arm.recipe.stages):
            path = job.folder / stage.name / "metrics.jsonl"
            lines = read_metrics(path) if path.is_file() else []
            if lines:
                share = lines[-1].get("epoch", 0.0) / stage.optimisation.epochs
                state = f"{stage.name} {share:4.0%}" if share < 1 else f"{stage.name} done, answering"
                self.progress.update(self.tasks[job.folder], completed=share, state=state)
                return
