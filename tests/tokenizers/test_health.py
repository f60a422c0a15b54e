import math
import re

import pytest
import torch

from asvr.tokenizers.health import health, verdict

# Four vectors on a line; the first depth halves them, the second is exact. One of its three codes is unused.
LINE = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]])
BOOKS = torch.tensor([[[-2.0], [2.0], [99.0]], [[-1.0], [1.0], [99.0]]])


def test_health_of_a_hand_made_case() -> None:
    report = health(LINE, BOOKS)
    assert [depth["codes"] for depth in report] == [3, 3]
    assert [depth["usage"] for depth in report] == pytest.approx([2 / 3, 2 / 3])
    # Two codes, equally often: perplexity 2. Energy: 4 x 1 of 9 + 1 + 1 + 9 = 20, then nothing.
    assert [depth["perplexity"] for depth in report] == pytest.approx([2, 2])
    assert [depth["residual_energy"] for depth in report] == pytest.approx([4 / 20, 0])


def figures(usage: float, perplexity: float, energy: float, codes: int = 128) -> dict[str, int | float]:
    return {"codes": codes, "usage": usage, "perplexity": perplexity, "residual_energy": energy}


@pytest.mark.parametrize(
    ("depths", "reasons"),
    [
        ([figures(0.98, 80, 0.1), figures(1, 55, 0.05)], []),
        # The pixels of NLVR: mostly white, and yet well described.
        ([figures(0.99, 5, 0.06), figures(0.95, 4, 0.03)], []),
        ([figures(0.02, 2, 0.6)], [r"depth 0: collapsed, only 2.0% of 128 codes are used"]),
        ([figures(0.9, 1.1, 0.97)], [r"depth 0: collapsed, its 128 codes are as good as 1.1"]),
        ([figures(1, 90, 0.3), figures(1, 90, 0.3)], ["depth 1: useless, 30.00% of the variance .* 30.00% after"]),
        ([figures(1, 90, math.nan)], ["depth 0: useless"]),
        # Nothing was left to the second depth.
        ([figures(1, 90, 1e-9), figures(0.2, 20, 1e-9)], []),
    ],
)
def test_the_verdict_names_each_reason(depths: list[dict[str, int | float]], reasons: list[str]) -> None:
    said = verdict(depths)
    assert len(said) == len(reasons)
    for one, expected in zip(said, reasons, strict=True):
        assert re.search(expected, one), one


@pytest.mark.parametrize("left", [1, 2])
def test_codebooks_that_were_collapsed_on_purpose_are_unhealthy(left: int) -> None:
    vectors = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    books = torch.stack([vectors[:64], vectors[64:128] * 0.3])
    assert verdict(health(vectors, books)) == []
    books[:, left:] += 1000
    assert any("collapsed" in reason for reason in verdict(health(vectors, books)))
    assert any("collapsed" in reason for reason in verdict(health(vectors, books[:, :1].expand(-1, 64, -1))))
