from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.health import health
from asvr.tokenizers.intervals import bootstrap, mean_interval, ratio_interval
from asvr.tokenizers.measure import Measurement, in_bf16, partial_sums, read
from tests.parts import pictures


@pytest.fixture(scope="module")
def visual(parts: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(parts / "tokenizer")


@pytest.fixture(scope="module")
def prepared(visual: VisualTokenizer) -> torch.Tensor:
    return torch.stack([visual.prepare(picture) for picture in pictures(10)])


def measure(visual: VisualTokenizer, prepared: torch.Tensor, size: int) -> Measurement:
    measurement = Measurement(visual)
    for part in prepared.split(size):
        reading = read(visual, part)
        measurement.add(reading, reading.codes)
    return measurement


def test_depths_are_those_of_all_vectors_at_once(visual: VisualTokenizer, prepared: torch.Tensor) -> None:
    measurement = measure(visual, prepared, 3)
    vectors = visual.vectors(prepared)
    wanted = health(vectors.flatten(0, 1), visual.quantizer.codebooks)
    assert measurement.vectors == 40
    for figures, expected in zip(measurement.depths(), wanted, strict=True):
        assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_cosines_are_those_of_partial_sums(visual: VisualTokenizer, prepared: torch.Tensor) -> None:
    measurement = measure(visual, prepared, 4)
    vectors, codes = visual.vectors(prepared), visual.encode(prepared)
    partial = visual.quantizer.lookup(codes).cumsum(2)
    cosine = F.cosine_similarity(vectors.unsqueeze(2), partial, dim=-1).mean((0, 1))
    found = [figures["cosine"]["mean"] for figures in measurement.depths()]
    assert found == pytest.approx(cosine.tolist(), abs=1e-6)
    mean = vectors.mean((0, 1), keepdim=True)
    assert measurement.cosine_of_mean() == pytest.approx(float(F.cosine_similarity(vectors, mean, dim=-1).mean()))


def test_partial_sums_end_at_the_quantised_vectors(visual: VisualTokenizer, prepared: torch.Tensor) -> None:
    codes = visual.encode(prepared)
    *_, last = partial_sums(visual.quantizer, codes)
    assert torch.equal(last, visual.quantizer.quantised(codes))


def test_a_block_after_the_quantiser_is_measured_against_the_features(
    visual: VisualTokenizer, prepared: torch.Tensor
) -> None:
    turn = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0))).Q
    pre, post = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
    pre.weight.data, post.weight.data = turn, turn.T.contiguous()
    turned = VisualTokenizer(visual.features, ResidualQuantizer(visual.quantizer.books @ turn.T), pre=pre, post=post)
    # A rotation there and back changes no cosine and no distance.
    plain, rotated = (measure(each, prepared, 10).depths() for each in (visual, turned))
    for one, other in zip(plain, rotated, strict=True):
        assert other["cosine"] == pytest.approx(one["cosine"], abs=1e-5)
    # Without the way back, the reconstruction has nothing to do with the features.
    lost = VisualTokenizer(visual.features, turned.quantizer, pre=pre, post=nn.Identity())
    assert measure(lost, prepared, 10).depths()[-1]["cosine"]["mean"] < 0.5


def test_agreement_counts_equal_codes_and_equal_beginnings(visual: VisualTokenizer, prepared: torch.Tensor) -> None:
    reading = read(visual, prepared)
    other = reading.codes.clone()
    # One position of four at depth 0, another at depth 1: three quarters each, half of the beginnings.
    other[:, 0, 0] = (other[:, 0, 0] + 1) % 8
    other[:, 1, 1] = (other[:, 1, 1] + 1) % 8
    measurement = Measurement(visual)
    measurement.add(reading, other)
    depths = measurement.depths()
    assert [each["bf16_agreement"]["mean"] for each in depths] == [0.75, 0.75, 1.0]
    assert [each["bf16_prefix"]["mean"] for each in depths] == [0.75, 0.5, 0.5]


def test_the_copy_in_bf16_casts_networks_and_leaves_the_search(visual: VisualTokenizer, prepared: torch.Tensor) -> None:
    half = in_bf16(visual)
    with torch.no_grad():
        features = half.features(prepared.bfloat16())
    assert features.dtype == torch.bfloat16
    codes = half.encode(prepared.bfloat16())
    assert torch.equal(codes, visual.quantizer.encode(features.float()))
    assert visual.vectors(prepared).dtype == torch.float32


def test_pictures_that_are_all_the_same_are_refused(visual: VisualTokenizer) -> None:
    quantizer = ResidualQuantizer(torch.zeros(1, 2, 3))
    measurement = Measurement(VisualTokenizer(visual.features, quantizer))
    vectors = torch.ones(2, 4, 3)
    codes = quantizer.encode(vectors)
    measurement.add(read(visual, torch.zeros(2, 3, 24, 24))._replace(vectors=vectors, codes=codes), codes)
    with pytest.raises(ValueError, match="choose pictures that differ"):
        measurement.depths()


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(3))
    found = mean_interval(values)
    half = 1.96 * float(values.std()) / 20
    assert found["mean"] == pytest.approx(float(values.mean()), abs=1e-6)
    # A thousand resamples know the ends of an interval to about five percent of its half width.
    assert found["high"] - found["mean"] == pytest.approx(half, rel=0.15)
    assert found["mean"] - found["low"] == pytest.approx(half, rel=0.15)


def test_a_ratio_is_drawn_in_pairs() -> None:
    under = torch.rand(50, generator=torch.Generator().manual_seed(0)) + 1
    assert ratio_interval(torch.stack([under / 4, under], dim=1)) == pytest.approx(
        {"ratio": 0.25, "low": 0.25, "high": 0.25}
    )
    assert bootstrap(torch.full((7, 2), 3.0)).unique().tolist() == pytest.approx([3.0])
