"""Cross-entropy of a linear classifier, in fp32, without ever holding the logits of all rows."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

MAX_LOGITS = 2**23
"""Logits that may exist at once: 32 MiB in fp32, small beside any model whose classifier exceeds it."""


class ClassifierLoss(NamedTuple):
    """What a classifier says of its rows, in nats (fp32).

    Args:
        total: Sum of all rows' losses, to descend.
        loss: Of each row, detached.
        correct: Whether the classifier's first choice was right.
    """

    total: Float[Tensor, ""]
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

    Rows are taken in chunks of at most `max_logits` logits, and the gradients of a chunk are computed while its logits
    are there: three matrix products in all, none of them twice, and memory that does not grow with rows times classes.
    That is why only the sum has a gradient, and only a first one. Logits are raised to fp32 before the softmax
    whatever the dtype of the weights, and the gradient of the weights is summed in fp32. No rows give empty tensors
    and a sum of zero that still reaches `hidden` and `weight`.
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    rows_per_chunk = max(1, max_logits // weight.shape[0])
    scored = _LinearCrossEntropy.apply(hidden, weight, bias, target, rows_per_chunk, torch.is_grad_enabled())
    return ClassifierLoss(*scored)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        rows_per_chunk: int,
        with_gradients: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        for_hidden, for_weight, for_bias = (with_gradients and each for each in ctx.needs_input_grad[:3])
        grad_hidden = torch.empty_like(hidden) if for_hidden else None
        # Summed in fp32: many small terms are lost in bf16.
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if for_weight else None
        grad_bias = weight.new_zeros(len(weight), dtype=torch.float32) if for_bias else None
        scored = []
        for start in range(0, max(1, len(hidden)), rows_per_chunk):
            rows, codes = hidden[start : start + rows_per_chunk], target[start : start + rows_per_chunk]
            shares, *figures = _softmax(rows, weight, bias, codes)
            scored.append(figures)
            if grad_bias is not None:
                grad_bias += shares.sum(0)
            shares = shares.to(weight.dtype)
            if grad_hidden is not None:
                grad_hidden[start : start + rows_per_chunk] = shares @ weight - weight[codes]
            if grad_weight is not None:
                _add_product(grad_weight, shares.t(), rows)
        # What the targets themselves take away, for all rows at once.
        if grad_weight is not None:
            grad_weight.index_add_(0, target, hidden.float(), alpha=-1)
        if grad_bias is not None:
            grad_bias.index_add_(0, target, grad_bias.new_ones(len(target)), alpha=-1)
        loss, correct = (torch.cat(parts) for parts in zip(*scored, strict=True))
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(loss, correct)
        return loss.sum(), loss, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        scaled = (None if each is None else (each * grad_total).to(ctx.dtype) for each in ctx.saved_tensors)
        return (*scaled, None, None, None)


def _softmax(
    rows: Tensor, weight: Tensor, bias: Tensor | None, codes: Tensor
) -> tuple[Float[Tensor, "rows classes"], Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Gives each class's share, the loss and whether no class has more than the target."""
    logits = F.linear(rows, weight, bias).float()
    highest, own = logits.amax(1, keepdim=True), logits.gather(1, codes[:, None])
    # In place: there is one array of logits, and it is what costs time outside the products.
    exponentials = logits.sub_(highest).exp_()
    totals = exponentials.sum(1, keepdim=True)
    loss = (totals.log() + highest - own)[:, 0]
    return exponentials.div_(totals), loss, (own == highest)[:, 0]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
