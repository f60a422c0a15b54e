import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from asvr.targets.residual_quantizer import ResidualQuantizer
from tests.golden.reference import codebooks, needs_reference, pixels, read, tokenizer

pytestmark = needs_reference


@pytest.mark.parametrize("name", ["rq_nonshared", "rq_shared"])
def test_codes_and_sums_are_the_release_s(name: str) -> None:
    tensors, facts = read(name)
    quantizer = ResidualQuantizer(codebooks(tensors, "codebooks."))
    codes = quantizer.encode(tensors["x"])
    assert facts["min_gap"] > 0.02  # every decision is safe
    assert torch.equal(codes, tensors["codes"])
    vectors = quantizer.lookup(codes)
    torch.testing.assert_close(vectors, tensors["embed_code_with_depth"], rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(vectors.cumsum(-2), tensors["cumsum_over_depth"], rtol=2e-5, atol=1e-5)
    torch.testing.assert_close(vectors.sum(-2), tensors["z_q"], rtol=2e-5, atol=1e-5)


def test_the_tokenizer_gives_the_release_s_codes_wherever_they_are_safe() -> None:
    tensors, _ = read("image2codes_729_and_resize")
    ours = tokenizer()
    features = ours.features(pixels(slice(0, 1)))
    torch.testing.assert_close(features, tensors["hidden_semantic_image0"], rtol=2e-5, atol=2e-5)
    codes, safe = ours.encode(pixels(slice(0, 3))), tensors["codes_safe"]
    assert safe.float().mean() > 0.98
    assert torch.equal(codes[safe], tensors["codes_semantic"][safe].long())


def safe(vectors: Tensor, quantizer: ResidualQuantizer) -> Tensor:
    """Marks decisions whose gap, and that of every shallower one, is above the recordings' 0.02."""
    residual, gaps = vectors.double(), []
    for book in quantizer.codebooks.double():
        distances = (residual.unsqueeze(-2) - book).square().sum(-1)
        two = distances.topk(2, largest=False)
        gaps.append(two.values[..., 1] - two.values[..., 0])
        residual = residual - book[two.indices[..., 0]]
    return (torch.stack(gaps, -1) > 0.02).cumprod(-1).bool()


def test_the_gaps_of_the_recorded_decisions_are_the_release_s() -> None:
    # So that what `safe` marks below is what the recordings call safe.
    tensors, _ = read("image2codes_729_and_resize")
    ours = tokenizer()
    assert torch.equal(safe(ours.vectors(pixels(slice(0, 3))), ours.quantizer), tensors["codes_safe"])


@pytest.mark.parametrize("name", ["zero_image", "96"])
def test_codes_of_an_empty_and_of_a_resized_picture(name: str) -> None:
    tensors, _ = read("image2codes_729_and_resize")
    prepared = torch.zeros(1, 3, 384, 384)
    if name == "96":
        # The release resizes without antialiasing what is not 384 pixels high (rqsiglip_encoder.py:63).
        small = (tensors["small_u8_96"].float() / 255 - 0.5) / 0.5
        prepared = F.interpolate(small, size=(384, 384), mode="bilinear", align_corners=False)
        torch.testing.assert_close(prepared[..., :8, :8], tensors["resized_corner"], rtol=2e-5, atol=2e-5)
    ours = tokenizer()
    marked = safe(ours.vectors(prepared), ours.quantizer)
    assert marked.float().mean() > 0.9
    assert torch.equal(ours.encode(prepared)[marked], tensors[f"codes_semantic_{name}"][marked].long())


def test_a_codebook_stored_once_gives_the_release_s_shared_codes() -> None:
    tensors, _ = read("rq_shared")
    quantizer = ResidualQuantizer(codebooks(tensors, "codebooks.", depth=1), depth=8)
    assert quantizer.books.shape[0] == 1
    assert torch.equal(quantizer.encode(tensors["x"]), tensors["codes"])
    torch.testing.assert_close(quantizer.quantised(tensors["codes"]), tensors["z_q"], rtol=2e-5, atol=1e-5)
