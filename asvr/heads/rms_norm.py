"""Root-mean-square norm with few passes over memory where torch has no kernel of its own for it."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def rms_norm(norm: nn.RMSNorm, states: Float[Tensor, "*_ width"]) -> Float[Tensor, "*_ width"]:
    """Norms in the dtype of the states; torch has no fused kernel for bf16 activations with fp32 weights.

    In fp32 on CPU torch composes the norm of a dozen passes and keeps several arrays as large as the states. Here it
    takes half the time, keeps the states alone, and has a first gradient only.
    """
    weight = norm.weight.to(states.dtype)
    if states.device.type != "cpu" or states.dtype != torch.float32:
        return F.rms_norm(states, norm.normalized_shape, weight, norm.eps)
    assert norm.eps is not None
    return _FewPasses.apply(states, weight, norm.eps)


class _FewPasses(torch.autograd.Function):
    """`y = r x w`, where `r` is `(mean(x^2) + eps)^(-1/2)` of each row."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float) -> Tensor:
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        scale = (length.square() / states.shape[-1] + eps).rsqrt()
        ctx.save_for_backward(states, weight, scale)
        return (states * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        states, weight, scale = ctx.saved_tensors
        product = grad * states
        # What a row takes away through its own length: r^3 mean(x w dy).
        pulled = (product @ weight)[..., None] * scale.pow(3) / states.shape[-1]
        grad_states = torch.addcmul((grad * weight).mul_(scale), states, pulled, value=-1)
        # A sum, not a product with `scale`: sums are pairwise, and rows are many.
        return grad_states, product.mul_(scale).flatten(0, -2).sum(0), None
