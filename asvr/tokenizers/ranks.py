"""The processes of a distributed run, and a matrix whose rows they share."""

import hashlib

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from jaxtyping import Float, Shaped
from torch import Tensor


class Ranks:
    """The processes that fit a tokenizer together: those that `torchrun` or `accelerate` started, or this one alone."""

    def __init__(self) -> None:
        # Unless it is told that there is only the CPU, each of several processes takes itself for the only one.
        self.state = PartialState(cpu=not torch.cuda.is_available())
        self.index, self.count = self.state.process_index, self.state.num_processes
        device = self.state.device
        # Codes are searched in fp64 where it matters, which other accelerators do not have.
        self.device = device if device is not None and device.type == "cuda" else torch.device("cpu")
        self.is_first = self.state.is_main_process

    def total(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Adds up the tensors of all processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, own: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Joins the lists of all processes, in the order of the processes."""
        if self.count == 1:
            return own
        lists: list[list[tuple[int, str]]] = [[] for _ in range(self.count)]
        dist.all_gather_object(lists, own)
        return [one for each in lists for one in each]

    def slice(self, count: int) -> slice:
        """Gives this process's share of so many things: consecutive ones, in the order of the processes."""
        return slice(self.index * count // self.count, (self.index + 1) * count // self.count)

    def wait(self) -> None:
        """Waits for all processes."""
        self.state.wait_for_everyone()


class SharedRows:
    """Where this process's rows stand among the rows of all, which follow one another in the order of the processes.

    Args:
        ranks: The processes.
        own: Number of rows that this one holds.
    """

    def __init__(self, ranks: Ranks, own: int) -> None:
        counts = torch.zeros(ranks.count, dtype=torch.long, device=ranks.device)
        counts[ranks.index] = own
        counts = ranks.total(counts).tolist()
        self.ranks = ranks
        self.start, self.total = sum(counts[: ranks.index]), sum(counts)

    def draw(
        self,
        rows: Float[Tensor, "own dim"],
        count: int,
        random: np.random.Generator,
        *,
        weights: Float[Tensor, " own"] | None = None,
    ) -> Float[Tensor, "count dim"]:
        """Draws rows of all processes without putting any back; every process gets the same ones.

        Args:
            rows: This process's rows.
            count: Rows drawn, at most the total.
            random: Decides which, whatever the number of processes.
            weights: How probable each row is in relation to others; equally by default.
        """
        # The first of so many races that end after exponential times (Efraimidis and Spirakis, 2006).
        times = torch.from_numpy(random.exponential(size=self.total)).to(rows.device)
        if weights is not None:
            everyone = times.new_zeros(self.total)
            everyone[self.start : self.start + len(rows)] = weights.double()
            times /= self.ranks.total(everyone)
        chosen = times.argsort(stable=True)[:count]
        own = (chosen >= self.start) & (chosen < self.start + len(rows))
        drawn = rows.new_zeros(len(chosen), rows.shape[1])
        drawn[own] = rows[chosen[own] - self.start]
        return self.ranks.total(drawn)


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Makes a generator for one purpose at one point of a fit, so that there is no state of generators to be kept."""
    key = hashlib.blake2b(repr((seed, purpose, numbers)).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(key, "little"))
