import pytest
import torch
import torch.nn.functional as F

from asvr.targets.resample import resample


def test_an_equal_grid_is_left_untouched() -> None:
    features = torch.randn(2, 6, 5)
    assert resample(features, (2, 3), (2, 3)) is features


def test_a_coarser_grid_averages_and_a_constant_stays() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 36, 5)
    constant = torch.full((1, 36, 5), 0.7)
    torch.testing.assert_close(resample(constant, (6, 6), (2, 3)), torch.full((1, 6, 5), 0.7))
    torch.testing.assert_close(resample(constant, (6, 6), (9, 7)), torch.full((1, 63, 5), 0.7))
    # One token for all: bilinear weights over a window twice as wide as the picture, cut off at its edges. By hand: the
    # weight of a row at distance d from the centre is 1 - d / 6.
    weights = 1 - (torch.arange(6) + 0.5 - 3).abs() / 6
    weights = weights / weights.sum()
    expected = torch.einsum("r,c,brcd->bd", weights, weights, features.view(2, 6, 6, 5))
    torch.testing.assert_close(resample(features, (6, 6), (1, 1)).squeeze(1), expected)


def test_rows_are_not_columns() -> None:
    # A ramp from top to bottom: every token of a row is equal, the rows rise.
    ramp = torch.arange(4.0).repeat_interleave(6).view(1, 24, 1)
    found = resample(ramp, (4, 6), (2, 3)).view(2, 3)
    assert torch.equal(found[:, 0], found[:, 2]) and found[0, 0] < found[1, 0]
    # Half precision is resampled in fp32.
    assert resample(ramp.bfloat16(), (4, 6), (2, 3)).dtype == torch.float32


@pytest.mark.parametrize("grid", [(3, 1), (1, 3), (3, 3), (9, 1), (5, 4)])
def test_a_picture_is_resampled_alike_alone_and_in_a_batch(grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 36, 5)
    alone = torch.cat([resample(one, (6, 6), grid) for one in features.split(1)])
    assert torch.equal(resample(features, (6, 6), grid), alone)
    maps = features.double().view(3, 6, 6, 5).permute(0, 3, 1, 2).contiguous()
    expected = F.interpolate(maps, size=grid, mode="bilinear", antialias=True).permute(0, 2, 3, 1).flatten(1, 2)
    torch.testing.assert_close(resample(features, (6, 6), grid), expected.float())
