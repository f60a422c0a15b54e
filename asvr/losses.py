"""Cross-entropy of a linear classifier, in fp32, without ever holding the logits of all rows."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Size, Tensor
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

MAX_LOGITS = {"cpu": 2**22}
"""Logits that may exist at once on a device of some kind: 16 MiB in fp32, small beside any model that exceeds it."""

MAX_LOGITS_ELSEWHERE = 2**25
"""128 MiB. An accelerator wants many rows: each chunk adds to all gradients of the weights, which takes it as long as
the products of some 500 rows (12 bytes a weight at 4 TB/s beside 6 FLOPs a weight and row at 700 TFLOP/s)."""


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
    max_logits: int | None = None,
) -> ClassifierLoss:
    """Scores `hidden @ weight.T + bias` against `target` row by row.

    Rows are taken in chunks of at most `max_logits` logits, by default as many as suit the device, and the gradients of
    a chunk are computed while its logits are there: three matrix products in all, none of them twice, and memory that
    does not grow with rows times classes. That is why only the sum has a gradient, and only a first one. Logits are
    raised to fp32 before the softmax whatever the dtype of the weights, and the gradient of the weights is summed in
    fp32. No rows give empty tensors and a sum of zero that still reaches `hidden` and `weight`.
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    most = max_logits or MAX_LOGITS.get(kind, MAX_LOGITS_ELSEWHERE)
    rows_per_chunk = max(1, most // weight.shape[0])
    wanted = [torch.is_grad_enabled() and each is not None and each.requires_grad for each in (hidden, weight, bias)]
    return ClassifierLoss(*_scored(hidden, weight, bias, target, rows_per_chunk, wanted)[:3])


_Scored = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""The three of a `ClassifierLoss`, then the gradients of hidden states, weight and bias, empty where none is wanted."""


# An operator of its own, so that `torch.compile` does not look inside: it would make a graph for each number of chunks.
@torch.library.custom_op("asvr::linear_cross_entropy", mutates_args=())
def _scored(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, rows_per_chunk: int, wanted: list[bool]
) -> _Scored:
    # One array for the logits of all chunks, made before what stays: what this call leaves behind fits the next one.
    logits = hidden.new_empty(min(len(hidden), rows_per_chunk), len(weight), dtype=torch.float32)
    grad_hidden, grad_weight, grad_bias = _gradients(hidden, weight, wanted)
    scored = []
    for start in range(0, max(1, len(hidden)), rows_per_chunk):
        rows, codes = hidden[start : start + rows_per_chunk], target[start : start + rows_per_chunk]
        terms = logits[: len(rows)]
        totals, *figures = _exponentials(rows, weight, bias, codes, terms)
        scored.append(figures)
        # A class's share is its term over the total: it is the smaller factor of each product that is divided.
        if wanted[2]:
            grad_bias += totals.reciprocal() @ terms
        terms = terms.to(weight.dtype)
        if wanted[0]:
            grad_hidden[start : start + rows_per_chunk] = (terms @ weight) / totals[:, None] - weight[codes]
        if wanted[1]:
            _add_product(grad_weight, terms.t(), (rows / totals[:, None]).to(terms.dtype))
    # What the targets themselves take away, for all rows at once.
    if wanted[1]:
        grad_weight.index_add_(0, target, hidden.float(), alpha=-1)
    if wanted[2]:
        grad_bias.index_add_(0, target, grad_bias.new_ones(len(target)), alpha=-1)
    loss, correct = (torch.cat(parts) for parts in zip(*scored, strict=True))
    return loss.sum(), loss, correct, grad_hidden, grad_weight, grad_bias


@_scored.register_fake
def _scored_without_data(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, rows_per_chunk: int, wanted: list[bool]
) -> _Scored:
    loss = hidden.new_empty(hidden.shape[0], dtype=torch.float32)
    correct = hidden.new_empty(hidden.shape[0], dtype=torch.bool)
    return loss.new_empty(()), loss, correct, *_gradients(hidden, weight, wanted)


def _gradients(hidden: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    """Makes room for gradients; those of the weights are summed in fp32: many small terms are lost in bf16."""
    return (
        torch.empty_like(hidden) if wanted[0] else hidden.new_empty(0),
        torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else weight.new_empty(0),
        weight.new_zeros(len(weight), dtype=torch.float32) if wanted[2] else weight.new_empty(0),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: _Scored) -> None:
    ctx.dtype, ctx.wanted = inputs[1].dtype, inputs[5]
    ctx.save_for_backward(*output[3:])
    ctx.mark_non_differentiable(*output[1:])
    # Or the backward pass is handed zeros as large as the weights, for the outputs that have no gradient.
    ctx.set_materialize_grads(False)


@once_differentiable
def _scale(ctx: Any, grad_total: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    kept = zip(ctx.saved_tensors, ctx.wanted, strict=True)
    return *((each * grad_total).to(ctx.dtype) if wanted else None for each, wanted in kept), None, None, None


_scored.register_autograd(_scale, setup_context=_keep)


@register_flop_formula(torch.ops.asvr.linear_cross_entropy)
def _flops(
    hidden: Size, weight: Size, bias: Size | None, target: Size, rows_per_chunk: int, wanted: list[bool], **_: Any
) -> int:
    """Counts the logits, and the gradients of hidden states and weight where they are wanted."""
    return 2 * hidden[0] * weight[0] * weight[1] * (1 + wanted[0] + wanted[1])


def _exponentials(
    rows: Tensor, weight: Tensor, bias: Tensor | None, codes: Tensor, terms: Tensor
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Writes the terms of each row's softmax, the greatest of them 1.

    Gives each row's total, its loss and whether no class has more than the target.
    """
    if rows.dtype != terms.dtype:
        terms.copy_(F.linear(rows, weight, bias))
    elif bias is None:
        torch.mm(rows, weight.t(), out=terms)
    else:
        torch.addmm(bias, rows, weight.t(), out=terms)
    highest, own = terms.amax(1, keepdim=True), terms.gather(1, codes[:, None])
    # In place: there is one array of logits, and it is what costs time outside the products.
    totals = terms.sub_(highest).exp_().sum(1)
    return totals, totals.log() + (highest - own)[:, 0], (own == highest)[:, 0]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
