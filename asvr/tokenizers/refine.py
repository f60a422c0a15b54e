"""Codebooks refined on every visual token of every picture, by moving averages, without holding any of them."""

from collections.abc import Iterator
from itertools import repeat

import torch
from jaxtyping import Float
from torch import Tensor

from asvr.tokenizers.kmeans import assign, at_all_depths
from asvr.tokenizers.ranks import Ranks, SharedRows, generator
from asvr.tokenizers.reading import BATCH, VectorReader
from asvr.tokenizers.settings import FitSettings
from asvr.tokenizers.workspace import Workspace

SAVE_EVERY = 50
"""Steps between two states."""

DEAD = 0.01
"""A code that stands for fewer vectors than this share of the average code's begins anew. DualToken's threshold, one
vector a step, would take a third of 16,384 codes for dead where a step has 2.8 vectors for each."""

NAME = "averages"


class MovingAverages:
    """Codebooks as the averages of the vectors that their codes stood for lately.

    Args:
        sums: Sum of those vectors, of each code.
        counts: How many they are, per step.
        depths: For how many depths each codebook serves.
        settings: Decay and seed.
    """

    def __init__(
        self,
        sums: Float[Tensor, "books codes dim"],
        counts: Float[Tensor, "books codes"],
        *,
        depths: int,
        settings: FitSettings,
    ) -> None:
        self.sums, self.counts = sums, counts
        self.depths, self.settings = depths, settings

    @classmethod
    def of_sample(
        cls,
        codebooks: Float[Tensor, "books codes dim"],
        vectors: Float[Tensor, "own dim"],
        *,
        per_step: int,
        settings: FitSettings,
        ranks: Ranks,
    ) -> "MovingAverages":
        """Begins with the codebooks of a sample, as if steps of so many vectors each had been like it for long."""
        depths, share = settings.depth // settings.books, per_step / SharedRows(ranks, len(vectors)).total
        residual, counts = vectors, []
        for codebook in codebooks:
            found = assign(residual, codebook, depths, ranks)
            counts.append((found.counts * share).float().clamp(min=DEAD * _average(per_step, depths, codebook)))
            residual = found.residual
        weights = torch.stack(counts)
        return cls(codebooks * weights.unsqueeze(2), weights, depths=depths, settings=settings)

    @property
    def codebooks(self) -> Float[Tensor, "books codes dim"]:
        """The code vectors."""
        return self.sums / self.counts.unsqueeze(2)

    def step(self, vectors: Float[Tensor, "own dim"], number: int, ranks: Ranks) -> None:
        """Moves every code towards the vectors that it stands for now, those of all processes.

        Args:
            vectors: This process's vectors; all are quantised by the codebooks as they were before the step.
            number: Number of the step, which decides what replaces dead codes.
            ranks: The processes.
        """
        rows = SharedRows(ranks, len(vectors))
        if rows.total == 0:
            return
        decay, residual = self.settings.decay, vectors
        for book in range(len(self.sums)):
            # One at a time: all of them again would double the memory.
            codebook = self.sums[book] / self.counts[book].unsqueeze(1)
            found = assign(residual, codebook, self.depths, ranks)
            left = found.residual
            self.sums[book].mul_(decay).add_(found.sums.float(), alpha=1 - decay)
            self.counts[book].mul_(decay).add_(found.counts, alpha=1 - decay)
            average = _average(rows.total, self.depths, codebook)
            # No more codes begin anew than there are vectors to begin at.
            dead = (self.counts[book] < DEAD * average).nonzero().squeeze(1)[: rows.total]
            if len(dead):
                random = generator(self.settings.seed, "revived codes", book, number)
                drawn = rows.draw(residual, len(dead), random, weights=left.square().sum(1))
                self.counts[book, dead] = average
                self.sums[book, dead] = at_all_depths(drawn, codebook, self.depths) * average
            residual = left


def _average(vectors: int, depths: int, codebook: Tensor) -> float:
    return vectors * depths / len(codebook)


def refine(
    averages: MovingAverages,
    reader: VectorReader,
    pictures: list[int],
    workspace: Workspace,
) -> None:
    """Runs the passes over the pictures, in a new order each, in steps of a fixed number of pictures.

    Args:
        averages: Moved in place, or to where the workspace left them and on.
        reader: Computes the pictures' vectors; each picture that it cannot read is in its `bad` afterwards, whichever
            process met it.
        pictures: Indices of the pictures, at least one; a rest that fills no step is left out of the pass.
        workspace: Keeps the averages now and then; each of its processes takes its share of every step.
    """
    settings, size, ranks = averages.settings, step_size(pictures), workspace.ranks
    steps = [step for number in range(settings.passes) for step in _steps(pictures, size, number, settings.seed)]
    done = 0
    if workspace.has(NAME):
        kept, facts = workspace.load(NAME)
        averages.sums, averages.counts = kept["sums"].to(ranks.device), kept["counts"].to(ranks.device)
        done = facts["steps"]
        reader.bad = [(index, reason) for index, reason in facts["bad"]] if ranks.is_first else []
    for number, batch in enumerate(_batches(reader, steps[done:], ranks.slice(size)), start=done + 1):
        averages.step(batch, number, ranks)
        if number % SAVE_EVERY == 0 or number == len(steps):
            bad = ranks.gather(reader.bad)
            if ranks.is_first:
                workspace.save(NAME, {"sums": averages.sums, "counts": averages.counts}, steps=number, bad=bad)
        workspace.on_progress("refinement", number, len(steps))
    reader.bad = ranks.gather(reader.bad)


def step_size(pictures: list[int]) -> int:
    """Gives the pictures of one step."""
    return min(BATCH, len(pictures))


def _steps(pictures: list[int], size: int, number: int, seed: int) -> list[list[int]]:
    order = generator(seed, "order", number).permutation(pictures).tolist()
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]


def _batches(reader: VectorReader, steps: list[list[int]], own: slice) -> Iterator[Tensor]:
    share = own.stop - own.start
    if share == 0:
        # More processes than pictures in a step: this one only takes part in the sums.
        yield from repeat(torch.empty(0, reader.width, device=reader.device), len(steps))
        return
    for _, vectors in reader.read([index for step in steps for index in step[own]], share):
        yield vectors.flatten(0, 1)
