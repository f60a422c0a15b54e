"""What a tokenizer makes of pictures, and the figures that are summed over them batch by batch."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from asvr.targets.resample import resample
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.intervals import mean_interval

EQUAL = 1e-10
"""Variance, as a share of the vectors' squares, that is rounding alone."""


class Reading(NamedTuple):
    """What a tokenizer makes of some pictures, computed once for everything that is measured.

    Args:
        features: What the feature source gives.
        vectors: What is quantised.
        codes: Of each position and depth.
    """

    features: Float[Tensor, "images source_positions dim"]
    vectors: Float[Tensor, "images positions width"]
    codes: Int[Tensor, "images positions depth"]


@torch.no_grad()
def read(tokenizer: VisualTokenizer, prepared: Shaped[Tensor, "images ..."]) -> Reading:
    """Encodes pictures and keeps what `encode` does not give."""
    features = tokenizer.features(prepared)
    projected = features if tokenizer.pre is None else tokenizer.pre(features)
    vectors = resample(projected, tokenizer.features.grid, tokenizer.grid)
    return Reading(features, vectors, tokenizer.quantizer.encode(vectors))


def partial_sums(
    quantizer: ResidualQuantizer, codes: Int[Tensor, "images positions depth"]
) -> Iterator[Float[Tensor, "images positions width"]]:
    """Gives the quantised vectors with one depth, with two, and so on."""
    total = quantizer.books.new_zeros(())
    for depth, book in enumerate(quantizer.codebooks):
        total = total + book[codes[..., depth]]
        yield total


def restores_features(tokenizer: VisualTokenizer) -> bool:
    """Says whether codes are turned into features: by a block after the quantiser, and not for a decoder's use."""
    return tokenizer.post is not None and tokenizer.decoder is None


def in_bf16(tokenizer: VisualTokenizer) -> VisualTokenizer:
    """Copies a tokenizer with the networks before its quantiser in bf16; codes are searched in fp32 all the same.

    The copy takes prepared pictures in bf16 too.
    """
    assert isinstance(tokenizer.features, nn.Module)
    features = copy.deepcopy(tokenizer.features).to(torch.bfloat16)
    pre = None if tokenizer.pre is None else copy.deepcopy(tokenizer.pre).to(torch.bfloat16)
    return VisualTokenizer(features, tokenizer.quantizer, pre=pre, grid=tokenizer.grid)


class Measurement:
    """Figures of every depth, over as many pictures as are added; memory grows by a few numbers a picture.

    Args:
        tokenizer: On the device of the pictures.
    """

    def __init__(self, tokenizer: VisualTokenizer) -> None:
        quantizer = tokenizer.quantizer
        self.tokenizer = tokenizer
        device = quantizer.books.device
        self.counts = torch.zeros(quantizer.depth, quantizer.num_codes, dtype=torch.long, device=device)
        self.energy = torch.zeros(quantizer.depth, dtype=torch.float64, device=device)
        self.vector_sum = torch.zeros(quantizer.dim, dtype=torch.float64, device=device)
        self.square_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.direction_sum: Tensor | float = 0.0
        self.wanted_sum: Tensor | float = 0.0
        self.cosines: list[Tensor] = []
        self.equal: list[Tensor] = []
        self.prefixes: list[Tensor] = []

    @torch.no_grad()
    def add(self, reading: Reading, bf16_codes: Int[Tensor, "images positions depth"]) -> None:
        """Adds pictures.

        Args:
            reading: Of the tokenizer itself.
            bf16_codes: Of the same pictures, by `in_bf16`.
        """
        wanted = self._wanted(reading)
        vectors = reading.vectors.double()
        self.vector_sum += vectors.sum((0, 1))
        self.square_sum += vectors.square().sum()
        self.wanted_sum = self.wanted_sum + wanted.double().sum((0, 1))
        self.direction_sum = self.direction_sum + F.normalize(wanted.double(), dim=-1).sum((0, 1))
        cosines = []
        for depth, quantised in enumerate(partial_sums(self.tokenizer.quantizer, reading.codes)):
            used = reading.codes[..., depth].flatten()
            self.counts[depth] += torch.bincount(used, minlength=self.counts.shape[1])
            self.energy[depth] += (reading.vectors - quantised).double().square().sum()
            cosines.append(F.cosine_similarity(wanted, self._restored(quantised), dim=-1).mean(1))
        self.cosines.append(torch.stack(cosines, dim=1).cpu())
        equal = (reading.codes == bf16_codes).double()
        self.equal.append(equal.mean(1).cpu())
        self.prefixes.append(equal.cumprod(-1).mean(1).cpu())

    def _wanted(self, reading: Reading) -> Tensor:
        if not restores_features(self.tokenizer):
            return reading.vectors
        return resample(reading.features, self.tokenizer.features.grid, self.tokenizer.grid)

    def _restored(self, quantised: Tensor) -> Tensor:
        if not restores_features(self.tokenizer):
            return quantised
        assert self.tokenizer.post is not None
        return self.tokenizer.post(quantised)

    @property
    def vectors(self) -> int:
        """Counts the vectors added."""
        return int(self.counts[0].sum())

    def depths(self) -> list[dict[str, Any]]:
        """Gives the figures of each depth.

        Returns:
            Per depth: `codes`, `usage` (share of codes used), `perplexity` (of the codes' distribution),
            `residual_energy` (share of the vectors' variance that is left after it); and as mean over pictures with an
            interval `cosine` (with the codes up to this depth), `bf16_agreement` (share of codes that are the same
            when the networks run in bf16) and `bf16_prefix` (share of positions where all codes so far are).

        Raises:
            ValueError: If all vectors are the same, so that no share of their variance can be left.
        """
        total = self.square_sum - self.vector_sum.square().sum() / self.vectors
        if not total > EQUAL * self.square_sum:
            raise ValueError("the pictures all give the same vector at every position: choose pictures that differ")
        share = self.counts.double() / self.vectors
        perplexity = (-(share * share.clamp(min=1e-12).log()).sum(1)).exp()
        pictures = {"cosine": self.cosines, "bf16_agreement": self.equal, "bf16_prefix": self.prefixes}
        joined = {name: torch.cat(values) for name, values in pictures.items()}
        return [
            {
                "codes": self.counts.shape[1],
                "usage": float((share[depth] > 0).double().mean()),
                "perplexity": float(perplexity[depth]),
                "residual_energy": float(self.energy[depth] / total),
                **{name: mean_interval(values[:, depth]) for name, values in joined.items()},
            }
            for depth in range(len(share))
        ]

    def cosine_of_mean(self) -> float:
        """Gives the mean cosine of all vectors to their mean: what a tokenizer with a single code would reach."""
        assert isinstance(self.wanted_sum, Tensor) and isinstance(self.direction_sum, Tensor)
        return float(self.direction_sum @ F.normalize(self.wanted_sum, dim=0) / self.vectors)
