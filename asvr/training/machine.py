"""How a run is laid out on the machine at hand."""

import os
import sys
from dataclasses import dataclass

import torch

MAX_WORKERS = 8
"""More decode faster than a device trains, and each may keep `CACHE_BYTES` of prepared pictures."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a run is laid out on the machine at hand: nothing here changes its numbers, but for rounding
    and, with another micro-batch or packing, for what heads draw at random.

    Args:
        micro_batch: Conversations per device and forward pass; the rest of a step's batch is accumulated.
        log_every: Steps between two lines of the log.
        save_every: Steps between two checkpoints.
        workers: Data worker processes of each training process; 0 loads in that, None has as many as there are cores
            left, 8 at most, where an accelerator trains, and none where the cores do.
        pack: Whether conversations of a micro-batch share rows, none seeing another (`asvr.data.packing`).
        attention: How the language model's attention is computed, by its name in transformers.
        liger: Whether Liger's kernels compute the rest of the language model (`asvr.training.kernels`).
        progress: Whether to draw a progress bar.
        check_images: Whether every image is opened once before the first stage trains.
    """

    micro_batch: int = 32
    log_every: int = 10
    save_every: int = 500
    workers: int | None = None
    pack: bool = False
    attention: str = "sdpa"
    liger: bool = False
    progress: bool = True
    check_images: bool = True

    @property
    def num_workers(self) -> int:
        """Counts the data worker processes of each training process on this machine."""
        if self.workers is not None:
            return self.workers
        if not torch.accelerator.is_available():
            return 0
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        return min(MAX_WORKERS, max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))

    def accumulation(self, batch_size: int) -> int:
        """Says how many micro-batches make a step.

        Raises:
            ValueError: If the global batch is not a multiple of what the devices take at once.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        at_once = min(self.micro_batch, batch_size) * world
        if batch_size % at_once:
            raise ValueError(
                f"a batch of {batch_size} conversations cannot be cut into micro-batches of {self.micro_batch} on "
                f"{world} process(es): choose a --micro-batch whose multiple it is"
            )
        return batch_size // at_once
