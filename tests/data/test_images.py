import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from asvr.data.images import ImagePreparation, open_image
from tests.data.samples import crops, pixels, plain


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_every_mode_is_read_as_rgb(mode: str, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "white").convert(mode).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png", record="7")
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", (255, 255, 255))


def test_a_palette_with_transparency_is_read_without_warning(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30])
    image.save(tmp_path / "a.png", transparency=b"\x00")
    assert open_image(tmp_path / "a.png", record="7").getpixel((0, 0)) == (10, 20, 30)


def test_a_file_cut_short_is_refused_by_name(image_folder: Path) -> None:
    path = image_folder / "0.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"0\.png: record '7' needs this image, but it cannot be read"):
        open_image(path, record="7")


@pytest.mark.parametrize("format", ["png", "jpeg", "gif", "webp", "bmp"])
def test_damage_anywhere_in_a_file_is_read_or_refused_by_name(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{format}"
    Image.radial_gradient("L").resize((32, 32)).save(path)
    whole = path.read_bytes()
    draw = random.Random(0)
    num_refused = 0
    for _ in range(150):
        damaged = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        for _ in range(min(len(damaged), 3)):
            damaged[draw.randrange(min(len(damaged), 200))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            open_image(path, record="7")
        except ValueError as error:
            assert "record '7'" in str(error)
            num_refused += 1
    assert num_refused > 0


def test_an_absent_file_and_a_text_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    for name in ("a.png", "b.png"):
        with pytest.raises(ValueError, match=f"{name}: record '7'"):
            open_image(tmp_path / name, record="7")


def test_the_cache_decodes_once_and_keeps_to_its_budget(image_folder: Path) -> None:
    opened: list[Image.Image] = []

    def prepare(image: Image.Image):
        opened.append(image)
        return pixels(image)

    # One image is 3 floats for the tower and 3 for the target: 24 bytes, so two fit into 50.
    images = ImagePreparation(prepare, plain, target_prepares={"semantic": crops}, cache_bytes=50)
    first = [images(image_folder / f"{index}.png", record="7") for index in range(3)]
    second = [images(image_folder / f"{index}.png", record="7") for index in range(3)]
    assert len(opened) == 4
    assert all((a.targets["semantic"] == b.targets["semantic"]).all() for a, b in zip(first, second, strict=True))


def photograph(path: Path, size: tuple[int, int]) -> Path:
    """Grey noise about the middle, so that no value is cut off at black or white."""
    noise = np.random.default_rng(0).normal(128, 10, size[::-1])
    Image.fromarray(noise.round().astype("uint8")).save(path, quality=95)
    return path


@pytest.mark.parametrize(
    ("at_least", "decoded"),
    [
        (None, (200, 160)),
        ((161, 1), (200, 160)),
        ((160, 200), (200, 160)),
        ((80, 100), (100, 80)),
        ((81, 100), (200, 160)),
        ((80, 101), (200, 160)),
        ((40, 50), (50, 40)),
        ((20, 25), (25, 20)),
        ((1, 1), (25, 20)),
    ],
)
def test_a_draft_is_as_small_as_is_enough(
    at_least: tuple[int, int] | None, decoded: tuple[int, int], tmp_path: Path
) -> None:
    path = photograph(tmp_path / "a.jpg", (200, 160))
    assert open_image(path, record="7", at_least=at_least).size == decoded


def test_an_eighth_is_the_mean_of_each_block(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", (200, 160))
    whole, eighth = (np.asarray(open_image(path, record="7", at_least=size))[..., 0] for size in (None, (20, 25)))
    # JPEG's first coefficient of a block of 8x8 is its mean; whole pixels were rounded, and so is the mean.
    means = whole.reshape(20, 8, 25, 8).mean((1, 3))
    np.testing.assert_allclose(eighth, means, atol=1)


def test_other_formats_have_no_draft(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png", record="7", at_least=(8, 8)).size == (64, 64)


def test_model_and_targets_see_the_same_draft(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", (200, 160))

    def values(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image).copy())

    images = ImagePreparation(
        lambda image: {"pixel_values": values(image)},
        plain,
        target_prepares={"semantic": lambda image: values(image)[None]},
        at_least=(80, 100),
    )
    prepared = images(path, record="7")
    assert prepared.inputs["pixel_values"].shape == (80, 100, 3)
    assert torch.equal(prepared.targets["semantic"][0], prepared.inputs["pixel_values"])
