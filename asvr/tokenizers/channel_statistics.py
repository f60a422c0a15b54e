"""Mean and deviation of each channel of features over many pictures: what standardises continuous targets."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from asvr.data.pictures import Pictures, names_sha256
from asvr.environment import environment
from asvr.targets.continuous import Standardisation
from asvr.targets.features import FeatureSource
from asvr.tokenizers.fit import silent
from asvr.tokenizers.ranks import generator
from asvr.tokenizers.reading import VectorReader
from asvr.tokenizers.settings import OnProgress

ENOUGH_PICTURES = 10_000
"""From so many pictures on, statistics are taken to be good; fewer are a demonstration."""


class Measured(NamedTuple):
    """Statistics of features, and where they come from.

    Args:
        statistics: Mean and deviation of each channel.
        about: Number of pictures and visual tokens, which pictures, and on what they were measured; plain values.
        bad: Which pictures could not be read, and why.
    """

    statistics: Standardisation
    about: dict[str, Any]
    bad: list[str]


@torch.no_grad()
def measure_channels(
    features: FeatureSource,
    pictures: Pictures,
    *,
    max_pictures: int | None = None,
    seed: int = 0,
    workers: int = 0,
    skip_bad: bool = False,
    on_progress: OnProgress = silent,
) -> Measured:
    """Measures the features of pictures, batch after batch: nothing is kept but sums, in fp64.

    Args:
        features: What is measured.
        pictures: All pictures.
        max_pictures: Pictures used, drawn from all; None uses all.
        seed: Draws them.
        workers: Data worker processes.
        skip_bad: Whether to leave out pictures that cannot be read.
        on_progress: Told how far it is.

    Raises:
        ValueError: If a picture cannot be read and `skip_bad` is not set, or if none can.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert isinstance(features, nn.Module)
    reader = VectorReader(
        features.to(device), pictures, grid=features.grid, device=device, workers=workers, skip_bad=skip_bad
    )
    indices = _drawn(len(pictures), max_pictures, seed)
    sums = ChannelSums(features.dim, device)
    num_pictures = 0
    for kept, vectors in reader.read(indices):
        sums.add(vectors.flatten(0, 1))
        num_pictures += len(kept)
        on_progress("statistics", num_pictures + len(reader.bad), len(indices))
    if not num_pictures:
        raise ValueError(
            "no picture can be read, so there is nothing to measure: read one without --skip-bad to see why"
        )
    about = {
        "pictures": num_pictures,
        "visual_tokens": sums.count,
        "pictures_sha256": names_sha256(pictures),
        "max_pictures": max_pictures,
        "seed": seed,
        "environment": environment(),
    }
    return Measured(sums.standardisation(), about, [reason for _, reason in reader.bad])


class ChannelSums:
    """Sums of each channel and of its square, over as many vectors as come; in fp64.

    The squares are of distances to the first vectors' mean: a channel that lies far from zero loses no digits.

    Args:
        channels: Width of the vectors.
        device: Where they are added up.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.count = 0
        self.origin, self.total, self.squares = torch.zeros(3, channels, dtype=torch.float64, device=device)

    def add(self, vectors: Float[Tensor, "vectors channels"]) -> None:
        """Adds vectors."""
        if not self.count and len(vectors):
            self.origin = vectors.double().mean(0)
        moved = vectors.double() - self.origin
        self.count += len(vectors)
        self.total += moved.sum(0)
        self.squares += moved.square().sum(0)

    def standardisation(self) -> Standardisation:
        """Gives mean and deviation; a channel that is the same everywhere is divided by 1."""
        mean = self.total / self.count
        # Beneath fp32's own rounding a channel does not move.
        deviation = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        moves = deviation > torch.finfo(torch.float32).eps * (self.origin + mean).abs()
        deviation = torch.where(moves, deviation, torch.ones_like(deviation))
        return Standardisation((self.origin + mean).float().cpu(), deviation.float().cpu())


def _drawn(count: int, at_most: int | None, seed: int) -> list[int]:
    if at_most is None or at_most >= count:
        return list(range(count))
    return sorted(generator(seed, "pictures").permutation(count)[:at_most].tolist())
