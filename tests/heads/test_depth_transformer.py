import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from asvr.heads.depth_transformer import DepthTransformer, checkpoint_heads


def head(*, depth: int = 4, codes: int = 6, hidden: int = 10, seed: int = 0) -> DepthTransformer:
    torch.manual_seed(seed)
    return DepthTransformer(hidden, torch.randn(depth, codes, 5), width=16, num_layers=2, head_width=8)


def states_by_hand(head: DepthTransformer, hidden: Tensor, codes: Tensor) -> Tensor:
    """One token, one slot, one attention head at a time, in fp32."""
    slots = [head.projector(hidden)]
    for known in range(len(codes)):
        vectors = [head.codebooks[depth, codes[depth]] for depth in range(known + 1)]
        slots.append(head.code_projection(torch.stack(vectors).sum(0)))
    for layer in head.layers:
        normed = [layer.norm1(slot) for slot in slots]
        query, key, value = zip(*(layer.qkv(slot).chunk(3) for slot in normed), strict=True)
        mixed = []
        for slot in range(len(slots)):
            parts = []
            for part in (slice(0, 8), slice(8, 16)):
                scores = torch.stack([query[slot][part] @ key[other][part] / 8**0.5 for other in range(slot + 1)])
                share = scores.softmax(0)
                parts.append(sum(share[other] * value[other][part] for other in range(slot + 1)))
            residual = layer.norm2(slots[slot] + layer.out(torch.cat(parts)))
            inner = torch.nn.functional.gelu(residual @ layer.expand[slot])
            mixed.append(residual + inner @ layer.reduce[slot])
        slots = mixed
    return torch.stack([head.norm(slot) for slot in slots])


@torch.no_grad()
def test_reconstruction_is_the_greedy_choice_depth_by_depth() -> None:
    ours = head()
    hidden = torch.randn(5, 10)
    for token, found in zip(hidden, ours.reconstruct(hidden), strict=True):
        codes: list[int] = []
        for depth in range(4):
            states = states_by_hand(ours, token, torch.tensor(codes, dtype=torch.long))
            codes.append(int(ours.classifiers[depth](states[depth]).argmax()))
        assert found.tolist() == codes


@torch.no_grad()
def test_the_loss_is_the_mean_over_depths_of_the_true_codes_surprise() -> None:
    ours = head()
    hidden, codes = torch.randn(3, 10), torch.randint(6, (3, 4))
    scored = ours(hidden, codes)
    for token in range(3):
        states = states_by_hand(ours, hidden[token], codes[token, :3])
        logits = [ours.classifiers[depth](states[depth]) for depth in range(4)]
        surprise = torch.stack([-logits[d].log_softmax(0)[codes[token, d]] for d in range(4)])
        torch.testing.assert_close(scored.per_token[token], surprise.mean())
        for depth in range(4):
            torch.testing.assert_close(scored.metrics[f"loss_depth_{depth}"][token], surprise[depth])
            right = float(logits[depth].argmax() == codes[token, depth])
            assert scored.metrics[f"accuracy_depth_{depth}"][token] == right


def test_a_teacher_s_codes_are_what_the_head_is_given() -> None:
    ours = head()
    hidden = torch.randn(5, 10)
    # Its own greedy choices, fed back as the truth, are again its first choice at every depth.
    scored = ours(hidden, ours.reconstruct(hidden))
    assert all(scored.metrics[f"accuracy_depth_{depth}"].all() for depth in range(4))


def test_it_has_the_release_s_size() -> None:
    codebooks = torch.zeros(8, 16384, 1152, device="meta")
    with torch.device("meta"):
        ours = DepthTransformer(4096, codebooks)
    counted = sum(p.numel() for name, p in ours.named_parameters() if not name.startswith("projector."))
    # golden/README.md: 723,970,048 in the release, of which 18,432 are biases that it creates and never uses:
    # three layers of linear1's 2 x 2048 and linear2's 2048, 6144 a layer.
    assert counted == 723_970_048 - 18_432
    # 4096 x 2048 + 2048 and 2048 x 2048 + 2048.
    assert sum(p.numel() for p in ours.projector.parameters()) == 8_390_656 + 4_196_352


def test_a_width_that_cannot_be_cut_into_attention_heads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width 100 must be a multiple of .* 64: change the recipe's head.width"):
        DepthTransformer(10, torch.zeros(2, 4, 5), width=100, head_width=64)


def test_no_tokens_reach_every_parameter() -> None:
    ours = head()
    scored = ours(torch.empty(0, 10), torch.empty(0, 4, dtype=torch.long))
    assert scored.per_token.shape == (0,)
    scored.total.backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name
    assert ours.reconstruct(torch.empty(0, 10)).shape == (0, 4)


def test_one_depth_is_a_plain_classifier() -> None:
    ours = head(depth=1)
    assert ours.reconstruct(torch.randn(3, 10)).shape == (3, 1)


def test_the_codebooks_are_neither_trained_nor_saved() -> None:
    ours = head()
    assert "codebooks" not in ours.state_dict()
    assert "codebooks" not in dict(ours.named_parameters())


def test_mixed_precision_gives_an_fp32_loss() -> None:
    ours = head()
    hidden, codes = torch.randn(3, 10), torch.randint(6, (3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        scored = ours(hidden.bfloat16(), codes)
    assert scored.per_token.dtype == torch.float32
    # bf16 keeps 8 bits; two layers of it stay within a few percent.
    torch.testing.assert_close(scored.per_token, ours(hidden, codes).per_token, rtol=0.05, atol=0.05)


def naive_total(head: DepthTransformer, hidden: Tensor, codes: Tensor) -> Tensor:
    """All logits at once, by torch's own cross-entropy, as the release computes them."""
    states = head.states(hidden, codes)
    logits = torch.stack([classifier(states[:, depth]) for depth, classifier in enumerate(head.classifiers)], 1)
    return F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="sum") / codes.shape[1]


def gradients(head: DepthTransformer, total: Tensor, hidden: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(total, (hidden, *head.parameters())))


@pytest.mark.parametrize("tokens", [0, 3, 8, 29])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients_are_those_of_all_logits_at_once(checkpointing: bool, tokens: int) -> None:
    ours = head()
    hidden, codes = torch.randn(tokens, 10, requires_grad=True), torch.randint(6, (tokens, 4))
    expected = naive_total(ours, hidden, codes)
    wanted = gradients(ours, expected, hidden)
    if checkpointing:
        checkpoint_heads(ours)
    total = ours(hidden, codes).total
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(ours, total, hidden), wanted, rtol=1e-5, atol=1e-5)


def test_it_compiles_whole_and_once_for_every_number_of_tokens() -> None:
    # In a fresh interpreter: torch cannot compile functions whose annotations are checked, as those of this one are.
    subprocess.run([sys.executable, "-m", "tests.heads.compiled"], check=True)
