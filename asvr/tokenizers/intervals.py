"""Means over pictures with their intervals: a bootstrap that draws whole pictures."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

RESAMPLES, SEED = 1000, 0
"""How often pictures are drawn with replacement, and what decides the draws."""

CONFIDENCE = 0.95

_CHUNK = 50
"""Resamples held at once."""


def mean_interval(values: Float[Tensor, " units"]) -> dict[str, float]:
    """Gives the `mean` of a figure of independent units, such as pictures, and a percentile interval `low` to `high`.

    The units are drawn with replacement (Efron and Tibshirani 1993, chapter 13); the interval holds 95 % of the means.
    """
    low, high = percentiles(bootstrap(values.unsqueeze(1)).squeeze(1))
    return {"mean": float(values.double().mean()), "low": low, "high": high}


def ratio_interval(values: Float[Tensor, "units 2"]) -> dict[str, float]:
    """Gives the ratio of two means of the same units, `ratio`, and its percentile interval `low` to `high`.

    Both columns are drawn together, so that what makes a unit hard for both does not widen the interval. Resamples
    whose second mean is zero have no ratio and are left out; the second mean itself must not be zero.
    """
    over, under = bootstrap(values).unbind(1)
    low, high = percentiles(over[under > 0] / under[under > 0])
    means = values.double().mean(0)
    return {"ratio": float(means[0] / means[1]), "low": low, "high": high}


def bootstrap(values: Float[Tensor, "units figures"]) -> Float[Tensor, "resamples figures"]:
    """Draws units with replacement, the same for every figure, and gives the figures' means in each resample."""
    values = values.double().cpu()
    return torch.cat([weights @ values / len(values) for weights in _draws(len(values))])


def _draws(units: int) -> Iterator[Float[Tensor, "resamples units"]]:
    generator = torch.Generator().manual_seed(SEED)
    for start in range(0, RESAMPLES, _CHUNK):
        drawn = torch.randint(units, (min(_CHUNK, RESAMPLES - start), units), generator=generator)
        yield torch.zeros(drawn.shape, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())


def percentiles(resampled: Float[Tensor, " resamples"]) -> tuple[float, float]:
    """Gives the central interval that holds 95 % of the resamples."""
    tails = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)
    low, high = resampled.quantile(tails).tolist()
    return low, high
