import torch

from asvr.heads.cosine import CosineHead


def head() -> CosineHead:
    torch.manual_seed(0)
    return CosineHead(10, 6, width=8)


def test_the_loss_is_one_less_the_cosine() -> None:
    ours, hidden, target = head().double(), torch.randn(3, 10).double(), torch.randn(3, 6).double()
    scored = ours(hidden, target)
    first, _, second, _, third = ours.projector
    for token in range(3):
        state = hidden[token]
        for layer in (first, second):
            raw = layer(state)
            state = raw * torch.sigmoid(raw)
        turned = third(state)
        cosine = turned @ target[token] / (turned.norm() * target[token].norm())
        torch.testing.assert_close(scored.per_token[token], (1 - cosine).float())
        torch.testing.assert_close(scored.metrics["cosine"][token], cosine.float())


def test_it_has_the_release_s_size() -> None:
    # VIRAL's config.json: projector_dim 2048, z_dim 768, at Vicuna-7B's width of 4096.
    with torch.device("meta"):
        ours = CosineHead(4096, 768)
    expected = 4096 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 768 + 768
    assert sum(each.numel() for each in ours.parameters()) == expected


def test_no_tokens_reach_every_parameter() -> None:
    ours = head()
    scored = ours(torch.empty(0, 10), torch.empty(0, 6))
    assert scored.per_token.shape == scored.metrics["cosine"].shape == (0,)
    scored.total.backward()
    assert all(each.grad is not None and not each.grad.any() for each in ours.parameters())


def test_mixed_precision_gives_an_fp32_loss() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert head()(torch.randn(3, 10).bfloat16(), torch.randn(3, 6)).per_token.dtype == torch.float32
