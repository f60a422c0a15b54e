"""A training run: from wherever it was left, step after step, to its end."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from asvr.tokenizer_training.batches import Sample, TrainingPictures, load_samples, micro_batches
from asvr.tokenizer_training.checkpoint import moving_state, optimiser_state, restore_optimiser
from asvr.tokenizer_training.metrics import diverged
from asvr.tokenizer_training.optimise import learning_rate
from asvr.tokenizer_training.stepping import Stepper
from asvr.tokenizers.kmeans import fit_codebooks
from asvr.tokenizers.workspace import Workspace

STATE = "training"

VECTORS_PER_CODE = 16
"""Vectors for each code in the sample that the codebooks begin with."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a training run is laid out on the machine at hand: nothing here changes its numbers, but for rounding.

    Args:
        micro_batch: Pictures per process and forward pass; the rest of a step is accumulated.
        log_every: Steps between two lines of the log.
        save_every: Steps between two checkpoints.
        workers: Data worker processes; 0 prepares pictures in the training process.
    """

    micro_batch: int = 32
    log_every: int = 10
    save_every: int = 500
    workers: int = 0

    def parts(self, batch_size: int, num_ranks: int) -> int:
        """Says how many micro-batches of a step a process has.

        Raises:
            ValueError: If the parts would not be equal, so that their average would not be the step's.
        """
        own = batch_size // num_ranks
        if batch_size % num_ranks or own % min(self.micro_batch, own):
            raise ValueError(
                f"a batch of {batch_size} pictures cannot be cut into micro-batches of {self.micro_batch} on "
                f"{num_ranks} process(es): choose a --micro-batch whose multiple it is"
            )
        return own // min(self.micro_batch, own)


class TrainingRun:
    """Steps, log and checkpoints.

    Args:
        stepper: Takes the steps.
        pictures: What is seen.
        workspace: Keeps the run's state.
        layout: How it is laid out.

    Raises:
        ValueError: If the batch cannot be cut up as the layout says.
    """

    def __init__(self, stepper: Stepper, pictures: TrainingPictures, workspace: Workspace, layout: Layout) -> None:
        self.stepper, self.pictures, self.workspace, self.layout = stepper, pictures, workspace, layout
        self.spec, self.ranks = stepper.recipe.optimisation, workspace.ranks
        self.parts = layout.parts(self.spec.batch_size, self.ranks.count)
        self.step, self.seconds = 0, 0.0
        self.faults: list[tuple[int, str]] = []
        """Index of each picture that could not be used, and why, over all processes since the last checkpoint."""

    def run(self) -> None:
        """Continues from the last checkpoint, or begins; ends with a checkpoint.

        Raises:
            ValueError: If a picture cannot be used, or training diverges.
            OSError: If the disk does not take a checkpoint.
        """
        if self.workspace.has(STATE):
            self._restore()
        else:
            self._start()
        self.stepper.log.keep_until(self.step)
        began, steps = time.perf_counter() - self.seconds, range(self.step, self.spec.steps)
        batches = self._load(steps, self.spec.batch_size)
        for step in steps:
            self.stepper.take(step, [next(batches) for _ in range(self.parts)])
            self.step, self.seconds = step + 1, time.perf_counter() - began
            saves = self.step % self.layout.save_every == 0 or self.step == self.spec.steps
            # Whenever a checkpoint is written, so that no average is torn by an interruption.
            if saves or self.step % self.layout.log_every == 0:
                rate = learning_rate(self.spec, step)
                self.stepper.log.write(self.step, seconds=self.seconds, learning_rate=rate)
            if saves:
                self._save()
            self.workspace.on_progress("steps", self.step, self.spec.steps)

    def _load(self, steps: range, batch_size: int) -> Iterator[list[Sample]]:
        numbers = micro_batches(steps, batch_size, self.ranks.slice(batch_size), self.layout.micro_batch)
        for samples in load_samples(self.pictures, numbers, workers=self.layout.workers):
            self.faults += [fault for sample in samples for fault in sample.faults]
            yield samples

    @torch.no_grad()
    def _start(self) -> None:
        """Lets the codebooks begin with the k-means of what the fresh blocks make of the first pictures."""
        objective, device = self.stepper.objective.eval(), self.ranks.device
        bottlenecks, positions = objective.bottlenecks(), math.prod(objective.features.grid)
        codes = max(one.quantizer.settings.num_codes for one in bottlenecks.values())
        count = min(math.ceil(codes * VECTORS_PER_CODE / positions), len(self.pictures.kept))
        seen: dict[str, list[Tensor]] = {name: [] for name in bottlenecks}
        for samples in self._load(range(1), count):
            hidden = objective.hidden(torch.stack([sample.pixels for sample in samples]).to(device))
            for name, one in bottlenecks.items():
                seen[name].append(one.narrow(hidden[name]).flatten(0, 1))
        for name, one in bottlenecks.items():
            vectors = torch.cat([*seen[name], torch.empty(0, one.quantizer.quantizer.dim, device=device)])
            place = Workspace(self.workspace.folder / name, {}, self.ranks, self.workspace.on_progress)
            codebooks = fit_codebooks(vectors, one.quantizer.settings, place)
            one.quantizer.start(codebooks, vectors, per_step=self.spec.batch_size * positions, ranks=self.ranks)
        objective.train()

    def _save(self) -> None:
        """Writes a checkpoint, unless the last step has spoilt the weights."""
        tensors = moving_state(self.stepper.objective)
        for name, value in tensors.items():
            if not value.isfinite().all():
                raise diverged(f"{name} is not finite", self.step)
        for name, optimiser in self.stepper.optimisers.items():
            tensors |= optimiser_state(optimiser, f"optimiser-{name}")
        # A picture comes up again in every epoch.
        self.faults = sorted(set(self.ranks.gather(self.faults)))
        if self.ranks.is_first:
            facts = {"step": self.step, "seconds": self.seconds, "faults": self.faults}
            self.workspace.save(STATE, tensors, **facts)
        else:
            self.faults = []
        self.ranks.wait()

    def _restore(self) -> None:
        tensors, facts = self.workspace.load(STATE)
        objective = self.stepper.objective
        names = moving_state(objective).keys()
        objective.load_state_dict({**objective.state_dict(), **{name: tensors[name] for name in names}})
        for name, optimiser in self.stepper.optimisers.items():
            restore_optimiser(optimiser, f"optimiser-{name}", tensors)
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.faults = [(index, reason) for index, reason in facts["faults"]] if self.ranks.is_first else []
