import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asvr.losses import linear_cross_entropy


def reference(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Row by row: minus the logarithm of the target's share, and whether no class has more; the sum has a gradient."""
    losses, correct = [], []
    for row, code in zip(hidden.float(), target, strict=True):
        logits = (weight.float() * row).sum(1) + (0 if bias is None else bias.float())
        losses.append(logits.exp().sum().log() - logits[code])
        correct.append(bool(logits[code] == logits.max()))
    return torch.stack(losses).sum(), torch.stack(losses).detach(), torch.tensor(correct)


def example(rows: int, classes: int, *, width: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator) for shape in ((rows, width), (classes, width), (classes,))
    )
    return hidden, weight, torch.randint(classes, (rows,), generator=generator), bias


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 9),
    classes=st.integers(1, 7),
    max_logits=st.integers(1, 70),
    with_bias=st.booleans(),
    seed=st.integers(0, 999),
)
def test_values_and_gradients_are_those_of_the_plain_formula(
    rows: int, classes: int, max_logits: int, with_bias: bool, seed: int
) -> None:
    hidden, weight, target, bias = example(rows, classes, seed=seed)
    leaves = [hidden, weight, *([bias] if with_bias else [])]
    results = []
    for score in (
        lambda h, w, b: linear_cross_entropy(h, w, target, bias=b, max_logits=max_logits),
        lambda h, w, b: reference(h, w, target, b),
    ):
        own = [leaf.clone().requires_grad_() for leaf in leaves]
        total, loss, correct = score(own[0], own[1], own[2] if with_bias else None)
        (3 * total).backward()
        results.append((total.detach(), loss, correct, [leaf.grad for leaf in own]))
    (total, loss, correct, gradients), (expected_total, expected, right, expected_gradients) = results
    torch.testing.assert_close(total, expected_total)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(correct, right)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-5)


def test_chunked_equals_whole_bit_for_bit_per_row() -> None:
    hidden, weight, target, bias = example(20, 6)
    whole = linear_cross_entropy(hidden, weight, target, bias=bias)
    chunked = linear_cross_entropy(hidden, weight, target, bias=bias, max_logits=6)
    torch.testing.assert_close(chunked.loss, whole.loss, rtol=1e-6, atol=1e-6)
    assert torch.equal(chunked.correct, whole.correct)


@pytest.mark.parametrize("max_logits", [1, 2**24])
def test_no_rows_still_reach_every_weight(max_logits: int) -> None:
    hidden, weight, target, bias = (each.requires_grad_(each.is_floating_point()) for each in example(0, 4))
    total, loss, correct = linear_cross_entropy(hidden, weight, target, bias=bias, max_logits=max_logits)
    assert loss.shape == correct.shape == (0,) and total == 0
    total.backward()
    assert weight.grad is not None and not weight.grad.any()
    assert bias.grad is not None and not bias.grad.any()


def test_half_precision_weights_give_an_fp32_loss() -> None:
    hidden, weight, target, bias = example(7, 50)
    half = [each.bfloat16() for each in (hidden, weight, bias)]
    _, loss, _ = linear_cross_entropy(half[0], half[1], target, bias=half[2])
    assert loss.dtype == torch.float32
    # The logits are rounded to bf16, 8 bits; softmax and logarithm are not: whole bf16 arithmetic is off by more.
    logits = F.linear(*half).float()
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, reduction="none"))


def test_half_precision_gradients_are_summed_in_fp32() -> None:
    # 4,096 chunks of one row each: every further term is far below bf16's resolution of the sum so far.
    hidden, weight, target, bias = example(4096, 3, width=2)
    hidden = hidden.abs() + 1
    target = torch.zeros_like(target)
    half = [each.bfloat16().requires_grad_() for each in (hidden, weight, bias)]
    linear_cross_entropy(half[0], half[1], target, bias=half[2], max_logits=3).total.backward()
    whole = [each.detach().float().requires_grad_() for each in half]
    F.cross_entropy(F.linear(*whole), target, reduction="sum").backward()
    # The products of a chunk are rounded to 8 bits, and so is the result: both by at most 1/256.
    for ours, exact in zip(half[1:], whole[1:], strict=True):
        torch.testing.assert_close(ours.grad.float(), exact.grad, rtol=2 / 256, atol=0)


def test_autocast_gives_the_gradient_of_its_own_dtype_to_fp32_weights() -> None:
    leaves = [each.requires_grad_(each.is_floating_point()) for each in example(30, 11)]
    hidden, weight, target, bias = leaves
    with torch.autocast("cpu", torch.bfloat16):
        ours = linear_cross_entropy(hidden, weight, target, bias=bias).total
        gradients = torch.autograd.grad(ours, (hidden, weight, bias))
        stock = F.cross_entropy(F.linear(hidden, weight, bias).float(), target, reduction="sum")
    torch.testing.assert_close(ours, stock)
    expected = torch.autograd.grad(stock, (hidden, weight, bias))
    torch.testing.assert_close(gradients, expected, rtol=0.03, atol=0.03)
    assert {each.dtype for each in gradients} == {torch.float32}


@pytest.mark.parametrize("frozen", ["hidden", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient_and_changes_no_other(frozen: str) -> None:
    hidden, weight, target, bias = example(9, 4)
    leaves = {"hidden": hidden, "weight": weight, "bias": bias}
    gradients = []
    for names in (set(leaves), set(leaves) - {frozen}):
        own = {name: leaf.clone().requires_grad_(name in names) for name, leaf in leaves.items()}
        linear_cross_entropy(own["hidden"], own["weight"], target, bias=own["bias"], max_logits=8).total.backward()
        gradients.append({name: leaf.grad for name, leaf in own.items()})
    assert gradients[1].pop(frozen) is None
    assert all(torch.equal(each, gradients[0][name]) for name, each in gradients[1].items())
