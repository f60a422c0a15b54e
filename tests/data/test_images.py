import random
from pathlib import Path

import pytest
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
