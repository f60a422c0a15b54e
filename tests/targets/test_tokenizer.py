import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import SiglipImageProcessorPil

from asvr.targets.features import PixelPatches
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings
from tests.parts import PATCH_SIZE, Album, pictures, write_tower


def codes(tokenizer: VisualTokenizer) -> torch.Tensor:
    return tokenizer.encode(torch.stack([tokenizer.prepare(picture) for picture in pictures(6)]))


@pytest.fixture
def folder(parts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parts / "tokenizer", tmp_path / "tokenizer"))


def test_saved_and_loaded_gives_equal_codes(folder: Path, tmp_path: Path) -> None:
    ours = VisualTokenizer.from_pretrained(folder)
    ours.save_pretrained(tmp_path / "again")
    again = VisualTokenizer.from_pretrained(tmp_path / "again")
    assert torch.equal(codes(again), codes(ours))
    assert (again.grid, again.about, again.tower_sha256) == (ours.grid, ours.about, ours.tower_sha256)
    # 24 pixels in patches of 12; three depths of eight codes.
    assert codes(ours).shape == (6, 4, 3) and codes(ours).max() < 8
    assert not ours.training and not any(parameter.requires_grad for parameter in ours.parameters())


def test_pixel_codes_survive_saving(parts: Path, tmp_path: Path) -> None:
    processor = SiglipImageProcessorPil.from_pretrained(parts / "tower")
    settings = FitSettings(depth=2, num_codes=8)
    ours = fit_tokenizer(PixelPatches(processor, PATCH_SIZE), Album(pictures(12)), settings=settings)
    ours.save_pretrained(tmp_path / "pixels")
    again = VisualTokenizer.from_pretrained(tmp_path / "pixels")
    assert torch.equal(codes(again), codes(ours)) and again.grid == (2, 2) and again.tower_sha256 is None


def test_it_is_fitted_on_its_own_features_and_judged_on_others(folder: Path) -> None:
    about = VisualTokenizer.from_pretrained(folder).about
    assert (
        about["images"] == 40
        and [set(depth) for depth in about["health"]] == [{"codes", "usage", "perplexity", "residual_energy"}] * 3
    )
    energies = [depth["residual_energy"] for depth in about["health"]]
    assert 1 > energies[0] > energies[1] > energies[2] > 0


def test_a_folder_without_a_tokenizer_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"visual_tokenizer.json is missing\): make one with `asvr tokenizer"):
        VisualTokenizer.from_pretrained(tmp_path)


def test_a_tower_that_was_exchanged_is_noticed(folder: Path) -> None:
    write_tower(folder / "tower", seed=7)
    with pytest.raises(ValueError, match=r"features that its description names, .* make or import it again"):
        VisualTokenizer.from_pretrained(folder)


def test_codebooks_of_another_width_are_noticed(folder: Path) -> None:
    save_file({"codebooks": torch.zeros(3, 8, 5)}, folder / "codebooks.safetensors")
    with pytest.raises(ValueError, match="codebooks 5 wide for features 32 wide"):
        VisualTokenizer.from_pretrained(folder)


def test_codebooks_of_another_tokenizer_are_noticed(folder: Path) -> None:
    save_file({"codebooks": torch.zeros(3, 8, 32)}, folder / "codebooks.safetensors")
    with pytest.raises(ValueError, match=r"the codebooks are not those that visual_tokenizer.json describes"):
        VisualTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("damage", ["cut", "renamed", "config"])
def test_damaged_files_are_named(damage: str, folder: Path) -> None:
    if damage == "cut":
        path = folder / "codebooks.safetensors"
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "renamed":
        save_file({"books": torch.zeros(3, 8, 32)}, folder / "codebooks.safetensors")
    else:
        path = folder / "visual_tokenizer.json"
        path.write_text(path.read_text()[:-20])
    with pytest.raises(
        ValueError, match=r"tokenizer: the visual tokenizer's files are damaged .* make or import it again"
    ):
        VisualTokenizer.from_pretrained(folder)


def test_a_save_that_is_cut_short_leaves_no_tokenizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = VisualTokenizer.from_pretrained(folder)

    def fail(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(ours.features, "save", fail)
    with pytest.raises(OSError, match="full"):
        ours.save_pretrained(folder)
    with pytest.raises(FileNotFoundError):
        VisualTokenizer.from_pretrained(folder)


def test_the_readable_description_is_true(folder: Path) -> None:
    config = json.loads((folder / "visual_tokenizer.json").read_text())
    assert (config["features"]["kind"], config["features"]["layer"], config["grid"]) == ("tower", -2, [2, 2])
    assert (config["depth"], config["num_codes"]) == (3, 8)


def test_no_images_give_no_codes(folder: Path) -> None:
    none = VisualTokenizer.from_pretrained(folder).encode_none(torch.device("cpu"))
    assert none.shape == (0, 3) and none.dtype == torch.long
