"""Cross-entropy of a linear classifier, in fp32, without ever holding the logits of all rows."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MAX_LOGITS = 2**24
"""Logits that may exist at once: 64 MiB in fp32, small beside any model whose classifier exceeds it."""


class ClassifierLoss(NamedTuple):
    """Loss of each row in nats (fp32), and whether the classifier's first choice was right."""

    loss: Float[Tensor, " rows"]
    correct: Bool[Tensor, " rows"]


def linear_cross_entropy(
    hidden: Float[Tensor, "rows width"],
    weight: Float[Tensor, "classes width"],
    target: Int[Tensor, " rows"],
    *,
    bias: Float[Tensor, " classes"] | None = None,
    max_logits: int = MAX_LOGITS,
) -> ClassifierLoss:
    """Scores `hidden @ weight.T + bias` against `target` row by row.

    Rows are taken in chunks of at most `max_logits` logits. With more than one chunk each is computed again in the
    backward pass, so memory does not grow with rows times classes. Logits are raised to fp32 before the softmax
    whatever the dtype of the weights. No rows give empty tensors that still reach `hidden` and `weight`.
    """
    rows_per_chunk = max(1, max_logits // weight.shape[0])
    if len(hidden) <= rows_per_chunk:
        return ClassifierLoss(*_score(hidden, weight, target, bias))
    chunks = [
        checkpoint(_score, rows, weight, codes, bias, use_reentrant=False, preserve_rng_state=False)
        for rows, codes in zip(hidden.split(rows_per_chunk), target.split(rows_per_chunk), strict=True)
    ]
    losses, correct = zip(*chunks, strict=True)  # type: ignore[arg-type]
    return ClassifierLoss(torch.cat(losses), torch.cat(correct))


def _score(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    logits = F.linear(hidden, weight, bias).float()
    return F.cross_entropy(logits, target, reduction="none"), logits.argmax(-1) == target
