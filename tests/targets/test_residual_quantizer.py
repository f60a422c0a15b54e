import pytest
import torch
from torch import Tensor

from asvr.targets import residual_quantizer
from asvr.targets.residual_quantizer import ResidualQuantizer, nearest


def example(vectors: int = 200, depth: int = 3, codes: int = 16, dim: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(vectors, dim), torch.randn(depth, codes, dim) * 0.7 ** torch.arange(depth).view(-1, 1, 1)


def brute_force(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """Each distance on its own, in fp64."""
    rows = []
    for vector in vectors.double():
        codes, residual = [], vector
        for codebook in codebooks.double():
            codes.append(int(((residual - codebook) ** 2).sum(1).argmin()))
            residual = residual - codebook[codes[-1]]
        rows.append(codes)
    return torch.tensor(rows)


def test_codes_are_those_of_brute_force() -> None:
    vectors, codebooks = example()
    assert torch.equal(ResidualQuantizer(codebooks).encode(vectors), brute_force(vectors, codebooks))


def test_half_precision_vectors_are_searched_in_fp32() -> None:
    vectors, codebooks = example()
    quantizer = ResidualQuantizer(codebooks)
    expected = brute_force(vectors.bfloat16().float(), codebooks)
    assert torch.equal(quantizer.encode(vectors.bfloat16()), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.encode(vectors.bfloat16()), expected)
    # Cast as a whole, as a Trainer casts a model, the codebooks' own rounding is all that changes.
    assert torch.equal(
        quantizer.bfloat16().encode(vectors.bfloat16()), brute_force(vectors.bfloat16(), codebooks.bfloat16())
    )


def test_chunked_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, codebooks = example()
    whole = nearest(vectors, codebooks[0])
    # 16 codes: seven vectors at a time.
    monkeypatch.setattr(residual_quantizer, "MAX_DISTANCES", 16 * 7)
    assert torch.equal(nearest(vectors, codebooks[0]), whole)
    monkeypatch.setattr(residual_quantizer, "MAX_DISTANCES", 1)
    assert torch.equal(nearest(vectors, codebooks[0]), whole)


def test_shape_is_kept_and_nothing_gives_nothing() -> None:
    vectors, codebooks = example(24)
    quantizer = ResidualQuantizer(codebooks)
    assert torch.equal(quantizer.encode(vectors.view(2, 3, 4, 6)), quantizer.encode(vectors).view(2, 3, 4, 3))
    assert quantizer.encode(vectors[:0]).shape == (0, 3)


def test_a_sum_of_code_vectors_that_is_exact_is_found_again() -> None:
    _, codebooks = example()
    # A thousandth of the step before at each depth: the greedy choice is the true one.
    codebooks = codebooks / 1000 ** torch.arange(3).view(-1, 1, 1)
    quantizer = ResidualQuantizer(codebooks)
    codes = torch.randint(16, (50, 3))
    vectors = quantizer.lookup(codes)
    assert torch.equal(vectors[:, 1], codebooks[1][codes[:, 1]])
    assert torch.equal(quantizer.encode(vectors.sum(-2))[:, :2], codes[:, :2])


def test_equal_distances_go_to_the_lower_code() -> None:
    assert nearest(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist() == [1]


def test_vectors_of_another_width_are_refused() -> None:
    _, codebooks = example()
    with pytest.raises(ValueError, match=r"vectors 5 wide for codebooks 6 wide: the tokenizer is another model's"):
        ResidualQuantizer(codebooks).encode(torch.zeros(2, 5))


def test_a_vector_has_the_same_code_in_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    # Codes in pairs that lie closer together than fp32 can tell at this distance from the origin.
    torch.manual_seed(0)
    centre = 1000 * torch.randn(1, 48)
    near = centre + torch.randn(40, 48)
    codebook = torch.cat([near, near + 1e-3 * torch.randn(40, 48)])
    vectors = centre + torch.randn(300, 48)
    together = nearest(vectors, codebook)
    assert torch.equal(torch.cat([nearest(one, codebook) for one in vectors.split(1)]), together)
    assert torch.equal(together, brute_force(vectors, codebook.unsqueeze(0)).squeeze(1))
    # What fp32 alone gives is wrong here, so the identity is not for nothing.
    in_fp32 = torch.addmm(codebook.square().sum(1), vectors, codebook.T, alpha=-2).argmin(1)
    assert not torch.equal(in_fp32, together)
    monkeypatch.setattr(residual_quantizer, "EXACT_CODES", 7)
    assert torch.equal(nearest(vectors, codebook), together)


def test_equal_code_vectors_give_the_first() -> None:
    codebook = torch.ones(1000, 5)
    assert not nearest(torch.randn(20, 5), codebook).any()


def test_a_shared_codebook_is_stored_once_and_searched_at_every_depth() -> None:
    vectors, codebooks = example()
    shared = ResidualQuantizer(codebooks[:1], depth=3)
    assert shared.books.shape == (1, 16, 6) and shared.codebooks.shape == (3, 16, 6)
    assert torch.equal(shared.encode(vectors), brute_force(vectors, codebooks[:1].repeat(3, 1, 1)))
    codes = shared.encode(vectors)
    torch.testing.assert_close(shared.quantised(codes), shared.lookup(codes).sum(-2))
    with pytest.raises(ValueError, match="2 codebooks for a depth of 3: give one, or one for each depth"):
        ResidualQuantizer(codebooks[:2], depth=3)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_codes_do_not_depend_on_the_precision_that_a_user_allows(precision: str) -> None:
    vectors, codebooks = example(3000, codes=256, dim=256)
    expected = brute_force(vectors[:200], codebooks)
    torch.set_float32_matmul_precision(precision)
    try:
        codes = ResidualQuantizer(codebooks).encode(vectors)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(codes, ResidualQuantizer(codebooks).encode(vectors))
    assert torch.equal(codes[:200], expected)
