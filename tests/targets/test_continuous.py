import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from asvr.targets.continuous import STATISTICS, ContinuousTargets, Standardisation
from asvr.targets.features import PixelPatches
from asvr.targets.resample import resample
from asvr.targets.sources import LatentSpec
from tests.parts import PATCH_SIZE, pictures, write_tower
from tests.targets.checkpoints import write_autoencoder


@pytest.fixture
def folder(parts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parts / "targets", tmp_path / "targets"))


def prepared(targets: ContinuousTargets) -> torch.Tensor:
    return torch.stack([targets.prepare(picture) for picture in pictures(3)])


def test_targets_are_the_features_less_the_mean_in_deviations(folder: Path) -> None:
    targets = ContinuousTargets.from_pretrained(folder)
    features = targets.features(prepared(targets))
    expected = (features - targets.statistics.mean) / targets.statistics.deviation
    found = targets.encode(prepared(targets))
    assert found.shape == (3, 4, 32) and found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    # Measured over forty pictures, of which these are three.
    assert not torch.allclose(found, features, atol=0.1)
    assert targets.encode_none(torch.device("cpu")).shape == (0, 32)


def test_another_grid_is_resampled(folder: Path) -> None:
    plain = ContinuousTargets.from_pretrained(folder)
    wider = ContinuousTargets.from_pretrained(folder, grid=(3, 5))
    assert (plain.grid, wider.grid) == ((2, 2), (3, 5))
    # Standardising is linear: before or after resampling is the same.
    expected = resample(plain.encode(prepared(plain)), (2, 2), (3, 5))
    torch.testing.assert_close(wider.encode(prepared(wider)), expected, rtol=1e-4, atol=1e-5)


def test_the_model_s_precision_does_not_touch_them(folder: Path) -> None:
    targets = ContinuousTargets.from_pretrained(folder)
    with torch.autocast("cpu", torch.bfloat16):
        found = targets.encode(prepared(targets))
    assert torch.equal(found, targets.encode(prepared(targets)))


def test_without_statistics_features_stay_as_they_are(folder: Path) -> None:
    processor = ContinuousTargets.from_pretrained(folder).features.processor
    targets = ContinuousTargets(PixelPatches(processor, PATCH_SIZE))
    assert torch.equal(targets.encode(prepared(targets)), targets.features(prepared(targets)))
    assert targets.tower_sha256 is None and targets.channels == 3 * PATCH_SIZE**2


def test_saved_and_loaded(parts: Path, tmp_path: Path) -> None:
    latents = LatentSpec(str(write_autoencoder(tmp_path / "vae")), image_size=8, sample=True).build()
    statistics = Standardisation(torch.linspace(-1, 1, 16), torch.linspace(0.5, 2, 16))
    ours = ContinuousTargets(latents, statistics=statistics, about={"standardised": True})
    ours.save_pretrained(tmp_path / "targets")
    again = ContinuousTargets.from_pretrained(tmp_path / "targets")
    assert again.identity() == ours.identity() and again.about == ours.about and again.grid == (2, 2)
    found = []
    for targets in (ours, again):
        torch.manual_seed(0)
        found.append(targets.encode(prepared(targets)))
    assert torch.equal(*found)
    # A new draw: what the generator gives next.
    assert not torch.equal(again.encode(prepared(again)), found[1])


def test_a_folder_without_targets_says_how_to_make_them(parts: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no continuous targets .* `asvr targets features`"):
        ContinuousTargets.from_pretrained(parts / "tokenizer")


def exchange_tower(folder: Path) -> None:
    write_tower(folder / "tower", seed=7)


def exchange_statistics(folder: Path) -> None:
    save_file({"mean": torch.zeros(32), "deviation": torch.ones(32)}, folder / STATISTICS)


def spoil_deviation(folder: Path) -> None:
    save_file({"mean": torch.zeros(32), "deviation": torch.zeros(32)}, folder / STATISTICS)


def truncate_statistics(folder: Path) -> None:
    (folder / STATISTICS).write_bytes((folder / STATISTICS).read_bytes()[:50])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (exchange_tower, "features that its description names"),
        (exchange_statistics, "statistics are not those that continuous_targets.json describes"),
        (spoil_deviation, "deviation not above zero: measure them again"),
        (truncate_statistics, "files are damaged"),
    ],
)
def test_files_that_do_not_belong_together_are_noticed(spoil, said: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(ValueError, match=said):
        ContinuousTargets.from_pretrained(folder)
