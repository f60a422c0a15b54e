import pytest
import torch

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
