import pytest
import torch
import torch.nn.functional as F

from asvr.targets.residual_quantizer import nearest
from asvr.tokenizer_training.moving_quantizer import MovingQuantizer
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.settings import FitSettings
from tests.golden.reference import needs_reference, read


def quantizer(*, shared: bool, depth: int = 3, num_codes: int = 6, width: int = 4) -> MovingQuantizer:
    settings = FitSettings(depth=depth, num_codes=num_codes, shared=shared, decay=0.75)
    made = MovingQuantizer(settings, width)
    generator = torch.Generator().manual_seed(1)
    books = torch.randn(settings.books, num_codes, width, generator=generator)
    made.start(books, torch.randn(50, width, generator=generator), per_step=40, ranks=Ranks())
    torch.testing.assert_close(made.quantizer.books, books)
    return made


def vectors(images: int = 4) -> torch.Tensor:
    return torch.randn(images, 10, 4, generator=torch.Generator().manual_seed(2))


@needs_reference
@pytest.mark.parametrize("name", ["rq_shared", "rq_nonshared"])
def test_commitment_and_codes_are_those_of_the_release(name: str) -> None:
    tensors, facts = read(name)
    depth, shared = 8, facts["config"]["shared_codebook"]
    books = torch.stack([tensors[f"codebooks.{d}.weight"][:-1] for d in range(1 if shared else depth)])
    made = MovingQuantizer(FitSettings(depth=depth, num_codes=books.shape[1], shared=shared), books.shape[2]).eval()
    made.quantizer.books.copy_(books)
    found = made(tensors["x"].flatten(1, 2))
    assert torch.equal(found.codes, tensors["codes"].flatten(1, 2).long())
    assert found.commitment.item() == pytest.approx(facts["commitment_loss"], rel=2e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_pass_straight_through_and_commitment_draws_to_the_codes(shared: bool) -> None:
    made, given = quantizer(shared=shared), vectors().requires_grad_()
    found, target = made(given), torch.ones(4, 10, 4)
    books = made.quantizer.codebooks
    cumulative = torch.stack([books[d][found.codes[..., d]] for d in range(3)]).cumsum(0)
    torch.testing.assert_close(found.vectors, cumulative[-1])
    (passed,) = torch.autograd.grad((found.vectors * target).sum(), given, retain_graph=True)
    assert torch.equal(passed, target)
    (drawn,) = torch.autograd.grad(found.commitment, given)
    torch.testing.assert_close(drawn, sum(2 * (given - total) for total in cumulative) / 3 / given.numel())


@pytest.mark.parametrize("shared", [True, False])
def test_the_update_is_that_of_one_hot_assignments(shared: bool) -> None:
    made, given = quantizer(shared=shared), vectors()
    # So many that none begins anew.
    made.counts.fill_(5.0)
    made.sums.copy_(5.0 * made.quantizer.books)
    counts, sums, books = made.counts.clone(), made.sums.clone(), made.quantizer.books.clone()
    made(given)
    assert torch.equal(made.quantizer.books, books)
    made.update(0, Ranks())
    residual, new_counts, new_sums = given.flatten(0, 1), torch.zeros_like(counts), torch.zeros_like(sums)
    for depth in range(3):
        book = 0 if shared else depth
        one_hot = F.one_hot(nearest(residual, books[book]), 6).float()
        new_counts[book] += one_hot.sum(0)
        new_sums[book] += one_hot.T @ residual
        residual = residual - one_hot @ books[book]
    expected_counts, expected_sums = 0.75 * counts + 0.25 * new_counts, 0.75 * sums + 0.25 * new_sums
    torch.testing.assert_close(made.counts, expected_counts)
    torch.testing.assert_close(made.quantizer.books, expected_sums / expected_counts.unsqueeze(2))


def test_a_step_is_the_same_in_one_part_and_in_four() -> None:
    whole, parts, given = quantizer(shared=True), quantizer(shared=True), vectors()
    whole(given)
    for one in given.split(1):
        parts(one)
    for each in (whole, parts):
        each.update(0, Ranks())
    assert torch.equal(whole.quantizer.books, parts.quantizer.books)


def test_nothing_is_learnt_of_what_is_seen_in_evaluation() -> None:
    made, books = quantizer(shared=True), quantizer(shared=True).quantizer.books
    made.eval()(vectors() + 100)
    made.train()(vectors())
    made.update(0, Ranks())
    assert made.quantizer.books.abs().max() < 10 and not torch.equal(made.quantizer.books, books)


def test_an_unused_code_begins_anew_at_a_vector_of_the_step() -> None:
    made = quantizer(shared=False, depth=1)
    made.quantizer.books[0, 2] = made.sums[0, 2] = 1000.0
    made.counts[0, 2] = 1e-3
    given = vectors()
    made(given)
    made.update(0, Ranks())
    assert (given.flatten(0, 1) - made.quantizer.books[0, 2]).abs().sum(1).min() < 1e-5


def test_perplexity_is_the_number_of_equally_used_codes() -> None:
    made = quantizer(shared=True)
    made.counts.copy_(torch.tensor([[2.0, 2.0, 2.0, 0.0, 0.0, 0.0]]))
    assert made.perplexity().item() == pytest.approx(3)
