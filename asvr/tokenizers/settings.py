"""What decides a fitted tokenizer, besides the features and the pictures."""

from collections.abc import Callable
from dataclasses import dataclass

from asvr.targets.resample import Grid
from asvr.tokenizers.ranks import generator

HELD_OUT = 10
"""One picture in this many is kept from the fit, to say how well the codebooks serve new pictures."""

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how many parts of it are done, and of how many."""


@dataclass(frozen=True)
class FitSettings:
    """How the codebooks of a residual quantiser are fitted.

    Args:
        depth: Codes per visual token; the paper has 8.
        num_codes: Code vectors per codebook; the paper has 16,384.
        shared: Whether one codebook serves all depths, as in DualToken.
        width: Width that features are projected to before they are quantised; None leaves them as they are.
        grid: Rows and columns of visual tokens, if not those of the features.
        max_pictures: Pictures used, drawn from all; None uses all.
        max_vectors: Most feature vectors in the sample, of which one in ten is held out.
        iterations: Passes of k-means over the sample, for each codebook.
        passes: Passes of the moving average over all visual tokens of all pictures, after k-means.
        decay: Share of a moving average that is kept at each step; 0.99 is DualToken's.
        seed: Equal seeds give equal codebooks.
        data: Where the pictures come from; written down only.
    """

    depth: int
    num_codes: int
    shared: bool = False
    width: int | None = None
    grid: Grid | None = None
    max_pictures: int | None = None
    max_vectors: int = 500_000
    iterations: int = 20
    passes: int = 0
    decay: float = 0.99
    seed: int = 0
    data: str = ""

    @property
    def books(self) -> int:
        """Number of codebooks."""
        return 1 if self.shared else self.depth


@dataclass(frozen=True)
class Selection:
    """Which pictures, and how many visual tokens of each, a fit uses.

    Args:
        chosen: Indices of all pictures used, ascending.
        sampled: Those whose vectors are in the sample.
        positions: Visual tokens of each sampled picture.
    """

    chosen: list[int]
    sampled: list[int]
    positions: int

    @property
    def held_out(self) -> set[int]:
        """Those sampled pictures that are kept from the fit."""
        return set(self.sampled[HELD_OUT - 1 :: HELD_OUT])


def select(settings: FitSettings, num_pictures: int, positions: int) -> Selection:
    """Spreads the sample over as many pictures as it can.

    Args:
        settings: Those of the fit.
        num_pictures: How many pictures there are.
        positions: Visual tokens of a picture.
    """
    chosen = list(range(num_pictures))
    if settings.max_pictures is not None and settings.max_pictures < num_pictures:
        drawn = generator(settings.seed, "pictures").permutation(num_pictures)[: settings.max_pictures]
        chosen = sorted(drawn.tolist())
    count = min(len(chosen), settings.max_vectors)
    sampled = [chosen[index * len(chosen) // count] for index in range(count)]
    return Selection(chosen, sampled, min(positions, settings.max_vectors // count))
