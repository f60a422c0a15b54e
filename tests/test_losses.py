import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asvr.losses import linear_cross_entropy


def reference(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Row by row: minus the logarithm of the target's share, and whether no class has more."""
    losses, correct = [], []
    for row, code in zip(hidden.float(), target, strict=True):
        logits = (weight.float() * row).sum(1) + (0 if bias is None else bias.float())
        losses.append(logits.exp().sum().log() - logits[code])
        correct.append(bool(logits[code] == logits.max()))
    return torch.stack(losses), torch.tensor(correct)


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
        loss, correct = score(own[0], own[1], own[2] if with_bias else None)
        # Weighted, so that a loss at the wrong row shows.
        (loss * torch.arange(1.0, rows + 1)).sum().backward()
        results.append((loss.detach(), correct, [leaf.grad for leaf in own]))
    (loss, correct, gradients), (expected, right, expected_gradients) = results
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
    loss, correct = linear_cross_entropy(hidden, weight, target, bias=bias, max_logits=max_logits)
    assert loss.shape == correct.shape == (0,)
    loss.sum().backward()
    assert weight.grad is not None and not weight.grad.any()
    assert bias.grad is not None and not bias.grad.any()


def test_half_precision_weights_give_an_fp32_loss() -> None:
    hidden, weight, target, bias = example(7, 50)
    half = [each.bfloat16() for each in (hidden, weight, bias)]
    loss, _ = linear_cross_entropy(half[0], half[1], target, bias=half[2])
    assert loss.dtype == torch.float32
    # The logits are rounded to bf16, 8 bits; softmax and logarithm are not: whole bf16 arithmetic is off by more.
    logits = F.linear(*half).float()
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, reduction="none"), rtol=0, atol=0)
