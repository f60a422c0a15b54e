import pytest
import torch

from asvr.targets.fit import centroids, fit_codebooks, health
from asvr.targets.residual_quantizer import ResidualQuantizer


def vectors(count: int = 400) -> torch.Tensor:
    """Sixteen clouds."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(16, 5, generator=generator) * 3
    return centres.repeat(count // 16, 1) + torch.randn(count, 5, generator=generator) * 0.3


def error(codebooks: torch.Tensor) -> float:
    quantizer = ResidualQuantizer(codebooks)
    return float((quantizer.lookup(quantizer.encode(vectors())).sum(-2) - vectors()).square().mean())


def test_equal_seeds_give_equal_codebooks() -> None:
    first = fit_codebooks(vectors(), depth=3, num_codes=8, seed=1)
    assert torch.equal(fit_codebooks(vectors(), depth=3, num_codes=8, seed=1), first)
    assert not torch.equal(fit_codebooks(vectors(), depth=3, num_codes=8, seed=2), first)


def test_fitted_codebooks_beat_random_ones_and_each_depth_helps() -> None:
    fitted = fit_codebooks(vectors(), depth=3, num_codes=8)
    generator = torch.Generator().manual_seed(0)
    random = torch.stack([vectors()[torch.randperm(400, generator=generator)[:8]] * 0.3**depth for depth in range(3)])
    assert error(fitted) < error(random) / 2
    assert error(fitted) < error(fitted[:2]) < error(fitted[:1])


def test_each_pass_is_counted_and_none_makes_it_worse() -> None:
    passes: list[None] = []
    few = fit_codebooks(vectors(), depth=2, num_codes=8, iterations=3, on_iteration=lambda: passes.append(None))
    assert len(passes) == 6
    assert error(fit_codebooks(vectors(), depth=1, num_codes=8, iterations=20)) <= error(few[:1]) + 1e-6


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="7 feature vectors cannot fill 8 codes: give more images or fewer codes"):
        fit_codebooks(vectors()[:7], depth=1, num_codes=8)


def test_as_many_codes_as_vectors_are_the_vectors() -> None:
    few = vectors()[:8]
    assert error_of(few, fit_codebooks(few, depth=1, num_codes=8)) == pytest.approx(0, abs=1e-10)


def error_of(few: torch.Tensor, codebooks: torch.Tensor) -> float:
    quantizer = ResidualQuantizer(codebooks)
    return float((quantizer.lookup(quantizer.encode(few)).sum(-2) - few).square().mean())


def test_centroids_are_the_means_of_their_vectors() -> None:
    data, codes = vectors(48), torch.arange(48) % 5
    means, counts = centroids(data, codes, 7)
    for code in range(5):
        own = [data[i] for i in range(48) if codes[i] == code]
        torch.testing.assert_close(means[code], sum(own) / len(own))
        assert counts[code] == len(own)
    assert counts[5:].tolist() == [0, 0] and not means[5:].any()


def test_health_of_a_hand_made_case() -> None:
    # Four vectors on a line; the first depth halves them, the second is exact. One of its three codes is unused.
    data = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]])
    report = health(data, torch.tensor([[[-2.0], [2.0], [99.0]], [[-1.0], [1.0], [99.0]]]))
    assert [depth["usage"] for depth in report] == pytest.approx([2 / 3, 2 / 3])
    # Two codes, equally often: perplexity 2. Energy: 4 x 1 of 9 + 1 + 1 + 9 = 20, then nothing.
    assert [depth["perplexity"] for depth in report] == pytest.approx([2, 2])
    assert [depth["residual_energy"] for depth in report] == pytest.approx([4 / 20, 0])
