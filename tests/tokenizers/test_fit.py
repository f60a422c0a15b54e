import json
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import SiglipImageProcessorPil

from asvr.data.pictures import find_pictures
from asvr.targets.features import PixelPatches
from asvr.targets.resample import resample
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers import refine
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.projection import moments, principal_components
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.settings import FitSettings, select
from tests.parts import Album, pictures

SETTINGS = FitSettings(depth=2, num_codes=8, width=5, iterations=3, passes=2)
FILES = ("codebooks.safetensors", "blocks.safetensors")


def pixels() -> PixelPatches:
    """2 x 2 patches, 108 wide: features that cost nothing."""
    return PixelPatches(SiglipImageProcessorPil(size={"height": 12, "width": 12}), 6)


def album(number: int = 300) -> Album:
    """More than one part of the sample."""
    return Album(pictures(number))


class Interruption(Exception):
    pass


def stopping_at(number: int) -> Callable[[str, int, int], None]:
    calls = count()

    def tell(what: str, done: int, total: int) -> None:
        if next(calls) == number:
            raise Interruption(what)

    return tell


@pytest.mark.parametrize("shared", [False, True])
def test_a_fit_that_was_cut_short_ends_as_one_that_was_not(
    shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine, "SAVE_EVERY", 2)
    settings = replace(SETTINGS, shared=shared)
    fit_tokenizer(pixels(), album(), settings=settings, out=tmp_path / "whole")
    stopped: list[str] = []
    while not (tmp_path / "cut").exists():
        try:
            # Told of the finished sample first, each one gets two steps further.
            fit_tokenizer(pixels(), album(), settings=settings, out=tmp_path / "cut", on_progress=stopping_at(2))
        except Interruption as interruption:
            stopped.append(str(interruption))
            assert (tmp_path / "cut.fitting").is_dir()
    # Four steps of 64 of the 270 pictures that are not held out, twice; three passes of k-means a codebook.
    assert "features" in stopped and stopped.count("refinement") >= 4
    assert stopped.count("codebooks") == (1 if shared else 3)
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]


def test_a_state_of_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    with pytest.raises(Interruption):
        fit_tokenizer(pixels(), album(40), settings=SETTINGS, out=tmp_path / "it", on_progress=stopping_at(3))
    with pytest.raises(ValueError, match=r"it\.fitting is .* \(settings\.seed is 0 there and 1 here\): repeat"):
        fit_tokenizer(pixels(), album(40), settings=replace(SETTINGS, seed=1), out=tmp_path / "it")
    with pytest.raises(ValueError, match=r"pictures\.count is 40 there and 39 here"):
        fit_tokenizer(pixels(), album(39), settings=SETTINGS, out=tmp_path / "it")
    fit_tokenizer(pixels(), album(40), settings=SETTINGS, out=tmp_path / "it")
    with pytest.raises(ValueError, match=r"holds a visual tokenizer already: choose another --out, or delete it"):
        fit_tokenizer(pixels(), album(40), settings=SETTINGS, out=tmp_path / "it")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 2,000 bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_no_part_of_it(full_disk: None, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"begun\.json cannot be written|sample-00000.* cannot be written .* make room"):
        fit_tokenizer(pixels(), album(), settings=SETTINGS, out=tmp_path / "it")
    assert not list(tmp_path.rglob("*.partial")) and not (tmp_path / "it").exists()


def test_principal_components_are_those_of_the_covariance(tmp_path: Path) -> None:
    vectors = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)
    mean, covariance = moments(vectors, Ranks())
    torch.testing.assert_close(mean, vectors.double().mean(0))
    torch.testing.assert_close(covariance, torch.cov(vectors.double().T, correction=0))
    # The singular vectors of the centred matrix, up to their sign.
    expected = torch.linalg.svd(vectors.double() - mean).Vh[:3]
    components = principal_components(covariance, 3)
    torch.testing.assert_close((components * expected).sum(1).abs(), torch.ones(3, dtype=torch.float64))
    assert (components.gather(1, components.abs().argmax(1, keepdim=True)) > 0).all()


def test_a_projected_tokenizer_is_as_good_as_its_components(tmp_path: Path) -> None:
    settings = FitSettings(depth=1, num_codes=36, width=5, iterations=30)
    # Nine pictures of four patches are fitted: each has a code of its own, so projecting alone loses anything.
    tokenizer = fit_tokenizer(pixels(), album(9), settings=settings, out=tmp_path / "it")
    prepared = torch.stack([tokenizer.prepare(picture) for picture in pictures(9)])
    features = tokenizer.features(prepared)
    flat = features.flatten(0, 1)
    centred = flat - flat.mean(0)
    left = torch.linalg.svdvals(centred.double())[5:].square().sum()
    again = VisualTokenizer.from_pretrained(tmp_path / "it")
    lost = (again.reconstruct(again.encode(prepared)) - features).double().square().sum()
    assert float(lost) == pytest.approx(float(left), rel=1e-3)
    with pytest.raises(ValueError, match="width 109 is more than the 108 of the features"):
        fit_tokenizer(pixels(), album(9), settings=replace(settings, width=109))


def test_another_grid_is_fitted_on_resampled_features() -> None:
    tokenizer = fit_tokenizer(pixels(), album(9), settings=FitSettings(depth=1, num_codes=9, grid=(1, 1)))
    prepared = torch.stack([tokenizer.prepare(picture) for picture in pictures(9)])
    expected = resample(tokenizer.features(prepared), (2, 2), (1, 1))
    torch.testing.assert_close(tokenizer.reconstruct(tokenizer.encode(prepared)), expected, atol=1e-5, rtol=0)


def test_refinement_follows_pictures_that_the_sample_did_not_hold() -> None:
    few = FitSettings(depth=1, num_codes=8, max_vectors=40, iterations=5)
    before = fit_tokenizer(pixels(), album(), settings=few)
    after = fit_tokenizer(pixels(), album(), settings=replace(few, passes=8))
    prepared = torch.stack([before.prepare(picture) for picture in pictures(300)])

    def error(tokenizer: VisualTokenizer) -> float:
        vectors = tokenizer.vectors(prepared)
        return float((tokenizer.reconstruct(tokenizer.encode(prepared)) - vectors).square().mean())

    assert error(after) < error(before)


def test_the_sample_is_spread_over_all_pictures_and_bounded() -> None:
    settings = FitSettings(depth=1, num_codes=2, max_vectors=100)
    assert select(settings, 30, 36).positions == 3 and select(settings, 2, 36).positions == 36
    many = select(settings, 1000, 36)
    assert many.sampled == list(range(0, 1000, 10)) and many.positions == 1 and len(many.chosen) == 1000
    assert many.held_out == set(range(90, 1000, 100))
    some = select(replace(settings, max_pictures=20), 1000, 36)
    assert some.sampled == some.chosen == sorted(set(some.chosen)) and len(some.chosen) == 20
    assert some.chosen != select(replace(settings, max_pictures=20, seed=1), 1000, 36).chosen


def test_what_cannot_be_read_stops_a_fit_or_is_listed(image_folder: Path, tmp_path: Path) -> None:
    for index in range(4, 12):
        Image.new("RGB", (8, 8), (20 * index, 0, 0)).save(image_folder / f"{index}.png")
    (image_folder / "2.png").write_bytes(b"no picture")
    found, settings = find_pictures(str(image_folder)), FitSettings(depth=1, num_codes=4, passes=1)
    with pytest.raises(ValueError, match=r"2\.png: record .* cannot be read"):
        fit_tokenizer(pixels(), found, settings=settings, out=tmp_path / "it")
    left_out = ["records.json: record 'x' is broken"]
    tokenizer = fit_tokenizer(pixels(), found, settings=settings, out=tmp_path / "it", left_out=left_out)
    assert (tokenizer.about["images"], tokenizer.about["left_out"], len(left_out)) == (11, 1, 2)
    assert (tmp_path / "it" / "quarantine.txt").read_text().splitlines() == left_out


def test_a_tokenizer_says_how_it_was_made(parts: Path) -> None:
    about = json.loads((parts / "tokenizer" / "visual_tokenizer.json").read_text())["about"]
    assert about["settings"]["depth"] == 3 and about["settings"]["seed"] == 0 and about["pictures"]["count"] == 40
    # Four held-out pictures of four visual tokens.
    assert about["judged_on"] == {"pictures": "held out", "vectors": 16} and about["verdict"] == []
    assert {"torch", "transformers"} <= about["environment"]["versions"].keys() and about["seconds"] > 0
