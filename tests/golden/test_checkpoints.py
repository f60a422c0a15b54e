import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.importing import import_tokenizers
from tests.golden.reference import FOLDER, needs_reference

pytestmark = needs_reference


class Recorded(NamedTuple):
    """Names in `expected.safetensors` of what one branch of a checkpoint must give."""

    layout: str
    branch: str
    recorded: str
    vectors: str | None
    """Names of the first of the vectors that are quantised, where they were recorded."""


BRANCHES = [
    Recorded("asvr", "semantic", "semantic", "hidden_semantic_first4"),
    Recorded("asvr", "appearance", "visual", None),
    Recorded("dualtoken", "semantic", "sem", "quant_in_sem_first2rows"),
    Recorded("dualtoken", "appearance", "pix", "quant_in_pix_first2rows"),
]


def expected(layout: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"ckpt_{layout}_layout" / "expected.safetensors")


def pixels(layout: str) -> Tensor:
    return (expected(layout)["pixels_uint8"].float() / 255 - 0.5) / 0.5


def assert_equal_within_tolerance(ours: Tensor, theirs: Tensor) -> None:
    # 2e-5 of the tensor's own size, as the reference's README says.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5 * theirs.abs().max().item())


@pytest.fixture(scope="module")
def imported() -> dict[str, dict[str, VisualTokenizer]]:
    return {layout: dict(import_tokenizers(FOLDER / f"ckpt_{layout}_layout")) for layout in ("asvr", "dualtoken")}


@pytest.mark.parametrize("case", BRANCHES, ids=lambda case: f"{case.layout}-{case.branch}")
def test_vectors_and_codes_are_the_authors(case: Recorded, imported: dict) -> None:
    tokenizer, tensors = imported[case.layout][case.branch], expected(case.layout)
    codes, safe = tokenizer.encode(pixels(case.layout)), tensors[f"safe_{case.recorded}"]
    assert safe.float().mean() > 0.98
    assert torch.equal(codes[safe], tensors[f"codes_{case.recorded}"][safe].long())
    if case.vectors:
        theirs = tensors[case.vectors].flatten(1, -2)
        assert_equal_within_tolerance(tokenizer.vectors(pixels(case.layout))[:, : theirs.shape[1]], theirs)


def test_sums_of_code_vectors_are_the_release_s(imported: dict) -> None:
    tokenizer, tensors = imported["asvr"]["semantic"], expected("asvr")
    quantised = tokenizer.reconstruct(tensors["codes_semantic"][:, :4].long())
    assert_equal_within_tolerance(quantised, tensors["zq_semantic_first4"])


def test_every_tensor_of_the_release_has_a_use_or_is_known_to_have_none(imported: dict) -> None:
    # 598 and 708 tensors, as the fixtures' expected.json lists them; of no use are the text tower with its two
    # scalars (24), and with DualToken the statistics of 2 x 8 codebooks (32).
    used = {layout: both["semantic"].about["tensors"] for layout, both in imported.items()}
    assert used["asvr"] == {"used": 598 - 24, "of_no_use": 24, "of_a_model_around": 0}
    assert used["dualtoken"] == {"used": 708 - 24 - 32, "of_no_use": 24 + 32, "of_a_model_around": 0}


@pytest.mark.parametrize("layout", ["asvr", "dualtoken"])
def test_imported_by_the_command_line_and_loaded_again(
    layout: str, imported: dict, tmp_path: Path, asvr: Callable
) -> None:
    code, said = asvr(["tokenizer", "import", str(FOLDER / f"ckpt_{layout}_layout"), "--out", str(tmp_path)])
    assert code == 0, said
    tensors = expected(layout)
    for case in (case for case in BRANCHES if case.layout == layout):
        again = VisualTokenizer.from_pretrained(tmp_path / case.branch)
        codes, safe = again.encode(pixels(layout)), tensors[f"safe_{case.recorded}"]
        assert torch.equal(codes[safe], tensors[f"codes_{case.recorded}"][safe].long())
        direct = imported[layout][case.branch]
        assert torch.equal(again.reconstruct(codes), direct.reconstruct(codes))
        assert again.can_decode == (case.branch == "appearance")
        facts = json.loads((tmp_path / case.branch / "visual_tokenizer.json").read_text())
        # 8 codes of 64; DualToken's share one codebook.
        assert (facts["depth"], facts["num_codes"], facts["shared_codebook"]) == (8, 64, layout == "dualtoken")


@pytest.mark.parametrize("layout", ["asvr", "dualtoken"])
def test_pixels_come_out_of_the_appearance_codes(layout: str, imported: dict) -> None:
    tokenizer = imported[layout]["appearance"]
    decoded = tokenizer.decode(expected(layout)[f"codes_{'visual' if layout == 'asvr' else 'pix'}"].long())
    # `decoder_latent_shape` is 8x8 in both; the release's fixture has a second level, which doubles it.
    assert decoded.shape == (1, 3, *((16, 16) if layout == "asvr" else (8, 8))) and decoded.isfinite().all()
