"""The arithmetic of batches: how a recipe's global batch is cut over devices, and how many steps an epoch has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asvr.recipes.spec import Stage


@dataclass(frozen=True)
class Batches:
    """How a stage's batches are cut.

    Args:
        global_batch: Conversations per optimisation step.
        gpus: Devices.
        micro_batch: Conversations per device and forward pass.
        steps: Optimisation steps of the stage.
        warmup_steps: Those in which the learning rate rises.
        epochs: Passes over the conversations.
    """

    global_batch: int
    gpus: int
    micro_batch: int
    steps: int
    warmup_steps: int
    epochs: float

    @property
    def accumulation(self) -> int:
        """Micro-batches that a device takes in one step."""
        return self.global_batch // (self.gpus * self.micro_batch)


def cut(stage: Stage, records: int, *, gpus: int, micro_batch: int) -> Batches:
    """Cuts a stage's batches as `asvr train` and the Trainer do.

    Args:
        stage: A stage of a recipe.
        records: Conversations of one epoch.
        gpus: Devices.
        micro_batch: Conversations per device and forward pass, at most.

    Raises:
        ValueError: If the global batch cannot be cut so.
    """
    batch = stage.optimisation.batch_size
    micro = min(micro_batch, batch)
    if batch % (gpus * micro):
        raise ValueError(
            f"stage {stage.name!r} has batches of {batch} conversations, which {gpus} device(s) cannot take in "
            f"micro-batches of {micro}: choose --gpus and --micro-batch whose product it is a multiple of"
        )
    # As the Trainer counts: an epoch's last, smaller batch is a step too.
    loaded = math.ceil(records / (gpus * micro))
    steps = math.ceil(stage.optimisation.epochs * math.ceil(loaded / (batch // (gpus * micro))))
    warmup = math.ceil(stage.optimisation.warmup_ratio * steps)
    return Batches(batch, gpus, micro, steps, warmup, stage.optimisation.epochs)


def common_micro_batches(stages: Sequence[Stage], gpus: int) -> list[int]:
    """Lists the micro-batches that every stage can be cut into on so many devices, from large to small.

    Raises:
        ValueError: If there is none.
    """
    batches = [stage.optimisation.batch_size for stage in stages]
    whole = math.gcd(*batches) // gpus
    sizes = [size for size in range(whole, 0, -1) if all(batch % (gpus * size) == 0 for batch in batches)]
    if not sizes:
        raise ValueError(f"batches of {', '.join(map(str, batches))} cannot be cut over {gpus} devices: choose --gpus")
    return sizes
