import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.parts import pictures
from tests.tokenizers.fit_ranks import fit_folder
from tests.two_processes import run_on_two

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """More than one part of the sample, so that both processes have some, with a file that is no picture."""
    (tmp_path / "images").mkdir()
    for index, picture in enumerate(pictures(300)):
        picture.save(tmp_path / "images" / f"{index:03d}.png")
    (tmp_path / "images" / "299.png").write_text("no picture")
    return tmp_path / "images"


def test_two_processes_make_the_codebooks_of_one(parts: Path, folder: Path, tmp_path: Path) -> None:
    run_on_two("tests.tokenizers.fit_ranks", parts, folder, tmp_path / "two")
    left_out: list[str] = []
    fit_folder(parts, folder, tmp_path / "one", left_out)
    for name in ("codebooks", "blocks"):
        two, one = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("two", "one"))
        for key in one:
            torch.testing.assert_close(two[key], one[key], rtol=0, atol=1e-5)
    two, one = (json.loads((tmp_path / run / "visual_tokenizer.json").read_text())["about"] for run in ("two", "one"))
    assert (two["processes"], one["processes"]) == (2, 1)
    assert (two["images"], two["left_out"]) == (one["images"], one["left_out"]) == (299, 1)
    said = (tmp_path / "two" / "quarantine.txt").read_text()
    assert said == (tmp_path / "one" / "quarantine.txt").read_text() == f"{left_out[0]}\n" and "299.png" in said
    for ours, theirs in zip(two["health"], one["health"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert not list(tmp_path.glob("*.fitting"))
