"""A random part of a batch's visual tokens that stands for all: the loss without bias, the head at its share."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from asvr.interfaces import HeadLoss, VisualHead


def check_fraction(fraction: float) -> None:
    """Refuses a share of visual tokens that is no share, or leaves none.

    Raises:
        ValueError: If it is one.
    """
    if not 0 < fraction <= 1:
        raise ValueError(
            f"supervision.fraction is {fraction}: it must be above 0 and at most 1, which supervises every visual token"
        )


def num_chosen(tokens: int, fraction: float) -> int:
    """Says how many of so many visual tokens are supervised: one at least, where there are any."""
    return min(tokens, max(1, round(fraction * tokens)))


def score_some(
    head: VisualHead,
    hidden: Float[Tensor, "tokens hidden"],
    target: Shaped[Tensor, "tokens ..."],
    *,
    fraction: float,
) -> HeadLoss:
    """Scores visual tokens drawn without replacement, each in place of as many as there are to one that is drawn.

    Every figure is an estimate without bias of what the head would say of all tokens: sums are scaled, and so are the
    figures of single tokens, which are zero for those that are not drawn. Draws come from torch's global generator on
    the CPU, which a checkpoint holds, so a resumed run draws what the uninterrupted one would have drawn. Ranks begin
    with one seed: as long as their batches have equally many tokens they draw the same places, of different pictures.
    """
    tokens = len(hidden)
    chosen = torch.randperm(tokens)[: num_chosen(tokens, fraction)].to(hidden.device)
    scored = head(hidden[chosen], target[chosen])
    scale = tokens / max(1, len(chosen))

    def spread(values: Float[Tensor, " chosen"]) -> Float[Tensor, " tokens"]:
        return values.new_zeros(tokens).index_copy(0, chosen, scale * values)

    metrics = {name: spread(values) for name, values in scored.metrics.items()}
    return HeadLoss(scale * scored.total, spread(scored.per_token), metrics)
