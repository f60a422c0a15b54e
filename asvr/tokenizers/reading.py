"""Pictures → the vectors that are quantised, batch after batch."""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from asvr.data.loading import load_pictures
from asvr.data.pictures import Pictures
from asvr.targets.blocks import LinearProjection
from asvr.targets.features import FeatureSource
from asvr.targets.resample import Grid, resample

BATCH = 64
"""Pictures whose features are computed at once."""


class VectorReader:
    """Computes the vectors of pictures, and notes which pictures cannot be read.

    Args:
        features: What is computed; already on its device.
        pictures: All pictures.
        grid: Rows and columns of the vectors.
        device: Where the features are computed.
        workers: Data worker processes.
        skip_bad: Whether a picture that cannot be read is noted in `bad` and left out; otherwise it is an error.
    """

    def __init__(
        self,
        features: FeatureSource,
        pictures: Pictures,
        *,
        grid: Grid,
        device: torch.device,
        workers: int = 0,
        skip_bad: bool = False,
    ) -> None:
        self.features, self.pictures = features, pictures
        self.grid, self.device = grid, device
        self.workers, self.skip_bad = workers, skip_bad
        self.pre: nn.Module | None = None
        self.width = features.dim
        """Width of the vectors."""
        self.bad: list[tuple[int, str]] = []
        """Index of each picture that could not be read, and why."""

    @property
    def positions(self) -> int:
        """Vectors of one picture."""
        return math.prod(self.grid)

    def project(self, pre: LinearProjection) -> None:
        """Sets the projection between features and quantiser."""
        self.pre, self.width = pre.to(self.device), pre.linear.out_features

    @torch.no_grad()
    def projected(self, vectors: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images positions width"]:
        """Projects vectors, if there is a projection."""
        return vectors if self.pre is None else self.pre(vectors)

    @torch.no_grad()
    def read(
        self, indices: Sequence[int], batch_size: int = BATCH
    ) -> Iterator[tuple[list[int], Float[Tensor, "images positions width"]]]:
        """Gives the indices of the pictures in each batch that can be read, and their vectors, fp32, on the device.

        Raises:
            ValueError: If a picture cannot be read, unless `skip_bad`.
        """
        on_bad = (lambda index, reason: self.bad.append((index, reason))) if self.skip_bad else None
        batches = load_pictures(
            self.pictures, indices, self.features.prepare, batch_size=batch_size, workers=self.workers, on_bad=on_bad
        )
        for batch in batches:
            yield [index for index, _ in batch], self._vectors([prepared for _, prepared in batch])

    def _vectors(self, prepared: list[Tensor]) -> Tensor:
        if not prepared:
            return torch.empty(0, self.positions, self.width, device=self.device)
        vectors = self.features(torch.stack(prepared).to(self.device)).float()
        return resample(self.projected(vectors), self.features.grid, self.grid)
