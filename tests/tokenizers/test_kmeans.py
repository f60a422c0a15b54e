from pathlib import Path

import pytest
import torch
from torch import Tensor

from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.tokenizers.kmeans import add_up, fit_codebooks
from asvr.tokenizers.ranks import Ranks, SharedRows, generator
from asvr.tokenizers.settings import FitSettings
from asvr.tokenizers.workspace import Workspace


def vectors(count: int = 400) -> Tensor:
    """Sixteen clouds."""
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(16, 5, generator=random) * 3
    return centres.repeat(count // 16, 1) + torch.randn(count, 5, generator=random) * 0.3


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, {}, Ranks(), lambda what, done, total: None)


def fit(data: Tensor, workspace: Workspace, *, depth: int = 3, num_codes: int = 8, **more: int | bool) -> Tensor:
    for file in workspace.folder.glob("*.safetensors"):
        file.unlink()
    return fit_codebooks(data, FitSettings(depth=depth, num_codes=num_codes, **more), workspace)  # type: ignore[arg-type]


def error(codebooks: Tensor, data: Tensor, depth: int | None = None) -> float:
    quantizer = ResidualQuantizer(codebooks, depth)
    return float((quantizer.quantised(quantizer.encode(data)) - data).square().mean())


def test_equal_seeds_give_equal_codebooks(workspace: Workspace) -> None:
    first = fit(vectors(), workspace, seed=1)
    assert torch.equal(fit(vectors(), workspace, seed=1), first)
    assert not torch.equal(fit(vectors(), workspace, seed=2), first)


def test_fitted_codebooks_beat_random_ones_and_each_depth_helps(workspace: Workspace) -> None:
    data, fitted = vectors(), fit(vectors(), workspace)
    random = torch.Generator().manual_seed(0)
    drawn = torch.stack([data[torch.randperm(400, generator=random)[:8]] * 0.3**depth for depth in range(3)])
    assert error(fitted, data) < error(drawn, data) / 2
    assert error(fitted, data) < error(fitted[:2], data) < error(fitted[:1], data)


@pytest.mark.parametrize("seed", range(3))
def test_first_codes_find_every_cloud(seed: int, workspace: Workspace) -> None:
    # A code for each cloud leaves the clouds' own variance, 0.3 squared; drawn evenly, 24 codes miss about three.
    assert error(fit(vectors(), workspace, depth=1, num_codes=24, iterations=1, seed=seed), vectors()) < 2 * 0.3**2


def test_a_pass_makes_code_vectors_means_and_never_makes_it_worse(workspace: Workspace) -> None:
    errors = [error(fit(vectors(), workspace, depth=1, iterations=n), vectors()) for n in (1, 2, 3, 5, 20)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0]
    book = fit(vectors(), workspace, depth=1, iterations=50)
    codes = ResidualQuantizer(book).encode(vectors()).squeeze(1)
    for code in range(8):
        torch.testing.assert_close(book[0, code], vectors()[codes == code].mean(0))


def test_one_codebook_for_all_depths_serves_each(workspace: Workspace) -> None:
    data, shared = vectors(), fit(vectors(), workspace, num_codes=32, shared=True)
    assert shared.shape == (1, 32, 5)
    assert error(shared, data, 3) < error(shared, data, 2) < error(shared, data, 1)
    # A codebook for depth 0 alone, applied again to what it leaves over, serves the deeper ones worse.
    assert error(shared, data, 3) < error(fit(data, workspace, depth=1, num_codes=32), data, 3)


def test_too_few_vectors_are_refused(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="7 feature vectors cannot fill 8 codes: give more images or fewer codes"):
        fit(vectors()[:7], workspace, depth=1)


def test_as_many_codes_as_vectors_are_the_vectors(workspace: Workspace) -> None:
    few = vectors()[:8]
    assert error(fit(few, workspace, depth=1), few) == pytest.approx(0, abs=1e-10)


def test_equal_vectors_leave_no_code_without_a_number(workspace: Workspace) -> None:
    assert fit(torch.ones(20, 5), workspace, depth=2).isfinite().all()


def test_sums_are_those_of_each_code_in_fp64() -> None:
    data, codes = vectors(48), torch.arange(48) % 5
    sums = torch.zeros(7, 5, dtype=torch.float64)
    add_up(data, codes, sums)
    for code in range(7):
        expected = data.double()[codes == code].sum(0)
        torch.testing.assert_close(sums[code], expected, rtol=0, atol=1e-13)


def test_rows_are_drawn_once_and_as_often_as_their_weights_say() -> None:
    rows, shared = torch.arange(40.0).unsqueeze(1), SharedRows(Ranks(), 40)
    assert shared.draw(rows, 40, generator(0, "test")).squeeze(1).sort().values.tolist() == list(range(40))
    weights = (torch.arange(40) % 4).float()
    firsts = [int(shared.draw(rows, 1, generator(seed, "test"), weights=weights)) % 4 for seed in range(1200)]
    # Of weights 0, 1, 2, 3 in equal numbers: shares 0, 1/6, 1/3, 1/2; three deviations of 1,200 draws are below 0.044.
    shares = [firsts.count(weight) / 1200 for weight in range(4)]
    assert shares == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2], abs=0.044)
