"""The statistics of a comparison: paired bootstrap over groups of questions, Student's t over seeds, Holm's correction.

Quantities are plain arrays; what they stand for is said in `figures.py`.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int


def draw_groups(
    multiplicities: Int[np.ndarray, " rows"], resamples: int, *, seed: int | Sequence[int], at_once: int
) -> Iterator[Float[np.ndarray, "draws rows"]]:
    """Draws groups with replacement, as many as there are, and says how often each was drawn.

    Questions about the same picture are not independent, so whole groups are drawn. Drawing single questions would
    give intervals that are too narrow. Equal groups stand in one row: how often any of them is drawn is multinomial
    with the multiplicities as shares.

    Args:
        multiplicities: How many groups each row stands for.
        resamples: How often to draw.
        seed: Decides the draws.
        at_once: Draws given at a time; it does not change them.
    """
    generator = np.random.default_rng(seed)
    num_groups = int(multiplicities.sum())
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        yield generator.multinomial(num_groups, multiplicities / num_groups, size=size).astype(np.float64)


def percentile_interval(resampled: Float[np.ndarray, " resamples"], *, confidence: float) -> tuple[float, float]:
    """Gives the central interval that holds `confidence` of the resamples; NaN is left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(resampled: Float[np.ndarray, " resamples"]) -> float:
    """Gives the two-sided p-value of no difference: twice the share of resamples on the rarer side of zero.

    One is added to both counts, so that the smallest value is 2 / (resamples + 1) and never 0.
    """
    kept = resampled[~np.isnan(resampled)]
    rarer = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(kept) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for being several, after Holm (1979); the order is kept."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def t_interval(values: Sequence[float], *, confidence: float) -> tuple[float, float]:
    """Gives Student's interval of a mean, from at least two values."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = t_quantile((1 + confidence) / 2, degrees=len(values) - 1) * error
    return mean - half, mean + half


def t_quantile(probability: float, *, degrees: int) -> float:
    """Gives the value that a Student's t with so many degrees of freedom stays below with a probability from 0.5 on.

    Found by bisection on the angle whose tangent is t / sqrt(degrees); its distribution has a closed form.
    """
    assert 0.5 <= probability < 1 and degrees >= 1
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central_probability(angle: float, degrees: int) -> float:
    """Gives P(|t| < sqrt(degrees) tan(angle)): Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even degrees)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
