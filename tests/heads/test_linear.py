import pytest
import torch
import torch.nn.functional as F

from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.linear import LinearHead


def head() -> LinearHead:
    torch.manual_seed(0)
    return LinearHead(10, 4, num_codes=6, width=16)


@torch.no_grad()
def test_the_loss_is_the_mean_over_depths_of_plain_cross_entropies() -> None:
    ours = head()
    hidden, codes = torch.randn(3, 10), torch.randint(6, (3, 4))
    first, _, second = ours.projector
    state = F.gelu(hidden @ first.weight.T + first.bias) @ second.weight.T + second.bias
    scored = ours(hidden, codes)
    logits = [state @ each.weight.T + each.bias for each in ours.classifiers]
    surprise = torch.stack([-logits[d].log_softmax(1)[range(3), codes[:, d]] for d in range(4)])
    torch.testing.assert_close(scored.per_token, surprise.mean(0))
    torch.testing.assert_close(scored.total, surprise.mean(0).sum())
    for depth in range(4):
        torch.testing.assert_close(scored.metrics[f"loss_depth_{depth}"], surprise[depth])
        right = (logits[depth].argmax(1) == codes[:, depth]).float()
        assert torch.equal(scored.metrics[f"accuracy_depth_{depth}"], right)


@torch.no_grad()
def test_a_depth_does_not_know_the_others() -> None:
    ours = head()
    hidden, codes = torch.randn(3, 10), torch.randint(6, (3, 4))
    others = codes.clone()
    others[:, 0] = (codes[:, 0] + 1) % 6
    one, another = ours(hidden, codes).metrics, ours(hidden, others).metrics
    assert not torch.equal(one["loss_depth_0"], another["loss_depth_0"])
    assert all(torch.equal(one[f"loss_depth_{depth}"], another[f"loss_depth_{depth}"]) for depth in (1, 2, 3))


def test_its_own_choices_are_its_first_ones() -> None:
    ours = head()
    hidden = torch.randn(5, 10)
    scored = ours(hidden, ours.reconstruct(hidden))
    assert all(scored.metrics[f"accuracy_depth_{depth}"].all() for depth in range(4))


def test_it_is_the_depth_head_without_its_transformer() -> None:
    with torch.device("meta"):
        ours, theirs = LinearHead(4096, 8, num_codes=16_384), DepthTransformer(4096, torch.zeros(8, 16_384, 1152))
    shared = {
        name: each.shape
        for name, each in theirs.named_parameters()
        if name.split(".")[0] in dict(ours.named_children())
    }
    assert {name: each.shape for name, each in ours.named_parameters()} == shared


def test_no_tokens_reach_every_parameter() -> None:
    ours = head()
    scored = ours(torch.empty(0, 10), torch.empty(0, 4, dtype=torch.long))
    assert scored.per_token.shape == (0,)
    scored.total.backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name
    assert ours.reconstruct(torch.empty(0, 10)).shape == (0, 4)


def test_mixed_precision_gives_an_fp32_loss() -> None:
    ours = head()
    hidden, codes = torch.randn(3, 10), torch.randint(6, (3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        scored = ours(hidden.bfloat16(), codes)
    assert scored.per_token.dtype == torch.float32
    # bf16 keeps 8 bits; three layers of it stay within a percent.
    torch.testing.assert_close(scored.per_token, ours(hidden, codes).per_token, rtol=0.01, atol=0.01)


def test_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"linear head of width 0: the recipe's head.width must be one at least"):
        LinearHead(10, 4, num_codes=6, width=0)
