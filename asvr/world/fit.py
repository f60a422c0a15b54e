"""Training of the world's small models: seeded order, AdamW with warm-up and cosine, progress, and resuming."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

_SAVE_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How long and how fast to train.

    Args:
        steps: Number of optimiser steps.
        batch_size: Records per step.
        learning_rate: Peak of the schedule.
        warm_up: Steps over which the learning rate rises; it falls along a cosine after them.
        seed: Seed of the weights at the start and of the order of the records.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warm_up: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(
                f"steps and batch_size must be at least 1 and learning_rate above 0, but are {self.steps}, "
                f"{self.batch_size} and {self.learning_rate}. Raise them."
            )


def record_order(num_records: int, descent: Descent) -> Int[Tensor, "steps batch"]:
    """Gives the records of every step: each epoch visits all of them once, in an order of its own."""
    generator = torch.Generator().manual_seed(descent.seed)
    num_draws = descent.steps * descent.batch_size
    epochs = [torch.randperm(num_records, generator=generator) for _ in range(-(-num_draws // num_records))]
    return torch.cat(epochs)[:num_draws].view(descent.steps, descent.batch_size)


def descend(
    model: nn.Module,
    loss_of: Callable[[list[int]], Float[Tensor, ""]],
    *,
    num_records: int,
    descent: Descent,
    checkpoint: Path,
) -> list[float]:
    """Trains a model in place.

    Args:
        model: What to train; its parameters must be on the device already.
        loss_of: Computes the mean loss of the records with these indices.
        num_records: How many records there are.
        descent: How long and how fast.
        checkpoint: Where the state lies between interruption and resumption; removed at the end.

    Returns:
        The loss of every step.

    Raises:
        ValueError: If the checkpoint is of another run.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=descent.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = get_cosine_schedule_with_warmup(optimizer, descent.warm_up, max(descent.steps, descent.warm_up + 1))
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    run = {**asdict(descent), "num_records": num_records}
    losses = _resume(parts, run, checkpoint)
    model.train()
    with _progress() as progress:
        task = progress.add_task("training", total=descent.steps, completed=len(losses), loss=float("nan"))
        for records in record_order(num_records, descent)[len(losses) :].tolist():
            loss = loss_of(records)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            progress.update(task, advance=1, loss=losses[-1])
            if len(losses) % _SAVE_EVERY == 0:
                _save(parts, run | {"losses": losses}, checkpoint)
    checkpoint.unlink(missing_ok=True)
    return losses


def device() -> torch.device:
    """Gives the device to train on, as accelerate chooses it."""
    return Accelerator().device


def _save(parts: dict, progress: dict, checkpoint: Path) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    state = progress | {"rng": torch.get_rng_state()}
    torch.save(state | {name: part.state_dict() for name, part in parts.items()}, partial)
    partial.replace(checkpoint)


def _resume(parts: dict, run: dict, checkpoint: Path) -> list[float]:
    if not checkpoint.is_file():
        return []
    state = torch.load(checkpoint, weights_only=True)
    differing = [f"{name} is {state[name]}, not {run[name]}" for name in run if state[name] != run[name]]
    if differing:
        raise ValueError(f"{checkpoint} is of another run: {', '.join(differing)}. Delete it to start afresh.")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["rng"])
    return state["losses"]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
