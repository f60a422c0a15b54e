"""The norm of few passes: its value and gradients are those of torch's own, computed in fp64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asvr.heads.rms_norm import rms_norm


def _with_gradients(norm: nn.RMSNorm, states: Tensor, pull: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    states = states.clone().requires_grad_()
    normed = rms_norm(norm, states)
    normed.backward(pull)
    assert states.grad is not None
    assert norm.weight.grad is not None
    return normed.detach(), states.grad, norm.weight.grad


@pytest.mark.parametrize("shape", [(5, 16), (300, 8, 32), (0, 8, 32)])
def test_equals_torch_in_fp64(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    # Rows of very different lengths, one of them zero: there `eps` decides.
    states, pull = torch.randn(shape) * torch.logspace(-4, 2, shape[-2])[:, None], torch.randn(shape)
    states[..., 0, :] = 0
    norm = nn.RMSNorm(shape[-1], eps=1e-6)
    nn.init.normal_(norm.weight)
    exact = nn.RMSNorm(shape[-1], eps=1e-6).double()
    exact.weight.data.copy_(norm.weight.data)
    # fp64 goes to torch itself.
    expected = _with_gradients(exact, states.double(), pull.double())
    for found, right in zip(_with_gradients(norm, states, pull), expected, strict=True):
        # Of the row's greatest: short rows have large gradients, whose terms cancel.
        assert ((found - right).abs().amax(-1) <= 2e-6 * (1 + right.abs().amax(-1))).all()


def test_other_dtypes_are_torch_s_own() -> None:
    torch.manual_seed(0)
    norm, states = nn.RMSNorm(16, eps=1e-6), torch.randn(3, 16, dtype=torch.bfloat16)
    assert torch.equal(rms_norm(norm, states), F.rms_norm(states, (16,), norm.weight.bfloat16(), 1e-6))


def test_keeps_the_states_and_nothing_as_large() -> None:
    norm, states, kept = nn.RMSNorm(16, eps=1e-6), torch.randn(3, 16, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        rms_norm(norm, states)
    assert [each.data_ptr() == states.data_ptr() for each in kept if each.numel() == states.numel()] == [True]
