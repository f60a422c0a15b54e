import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asvr.reports.tokenizer_card import write_card_page


def range_of(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}


def a_card(depth: int = 3) -> dict[str, Any]:
    depths = [
        {
            "codes": 64,
            "usage": 0.9,
            "perplexity": 31.5,
            "residual_energy": 0.5 ** (index + 1),
            "cosine": range_of(0.8 + 0.01 * index),
            "bf16_agreement": range_of(0.9),
            "bf16_prefix": range_of(0.8),
        }
        for index in range(depth)
    ]
    maps = [f"pictures/map-{index}.png" for index in range(depth)]
    return {
        "tokenizer": "<tokenizer>",
        "data": "records.json",
        "verdict": [],
        "cautions": [],
        "images": 1234,
        "vectors": 4936,
        "left_out": 0,
        "grid": [2, 2],
        "fingerprint": "0123456789abcdef0123",
        "source": {"kind": "tower", "layer": -2},
        "cosine_to": "features",
        "cosine_of_mean": 0.432,
        "depths": depths,
        "pixels": {"psnr": range_of(23.45), "ssim": range_of(0.789)},
        "zero_shot": None,
        "samples": [{"name": "0.png", "picture": "pictures/seen.png", "maps": maps, "decoded": "pictures/decoded.png"}],
        "codes": [
            {"depth": 0, "code": 17, "rank": 1, "used": 58, "share": 0.02, "patches": "pictures/strip.png"},
            {"depth": 1, "code": 5, "rank": 3, "used": 57, "share": 0.01, "patches": "pictures/strip.png"},
        ],
        "settings": {"teacher": None},
        "seconds": 12.3,
        "environment": {"commit": "abc", "versions": {"torch": "2"}, "hardware": "CPU"},
    }


def write(folder: Path, card: dict[str, Any]) -> str:
    (folder / "pictures").mkdir(exist_ok=True)
    for index, name in enumerate(("seen", "decoded", "strip", *(f"map-{depth}" for depth in range(10)))):
        Image.new("RGB", (4 + index, 4)).save(folder / "pictures" / f"{name}.png")
    (folder / "card.json").write_text(json.dumps(card))
    return write_card_page(folder).read_text()


def test_the_page_has_the_card_s_figures(tmp_path: Path) -> None:
    page = write(tmp_path, a_card())
    for words in ("Healthy.", "1\u202f234 pictures", "&lt;tokenizer&gt;", "12.50 %", "0.820 [0.810, 0.830]", "0.432"):
        assert words in page, words
    assert "23.45 [23.44, 23.46] dB" in page and "90.0 [89.0, 91.0] %" in page
    assert "code 17" in page and "58 codes in use" in page and "57 codes in use" in page


def test_the_page_begins_with_the_verdict(tmp_path: Path) -> None:
    reasons = ["depth 0: collapsed, only 1 of 64 codes", "depth 1: useless"]
    page = write(tmp_path, {**a_card(), "verdict": reasons, "cautions": ["only 3 vectors"], "left_out": 2})
    header = page.split("</header>")[0]
    assert "Unhealthy." in header and all(reason in header for reason in reasons) and "only 3 vectors" in header
    assert "2 pictures could not be read" in header


def test_every_picture_is_in_the_page(tmp_path: Path) -> None:
    page = write(tmp_path, a_card(depth=8))
    linked = re.findall(r'\b(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("data:", "#")) for link in linked)
    assert "@import" not in page and "url(http" not in page and "<script" not in page
    data = [link.split(",")[1] for link in linked if link.startswith("data:")]
    widths = [Image.open(BytesIO(base64.b64decode(each))).width for each in data]
    # The picture, what was decoded, eight maps, and the strips of two codes.
    assert widths == [4, 5, *range(7, 15), 6, 6]


def test_retention_and_what_has_none(tmp_path: Path) -> None:
    both = {"original": range_of(0.5), "reconstructed": range_of(0.4), "chance": 0.01}
    kept = {**both, "retention": {"ratio": 0.8, "low": 0.7, "high": 0.9}}
    found = {"pictures": 100, "captions": 99, "image_to_text": kept, "text_to_image": {**both, "retention": None}}
    page = write(tmp_path, {**a_card(), "zero_shot": found, "settings": {"teacher": "google/siglip"}, "pixels": None})
    assert "80.0 [70.0, 90.0] %" in page and "the original finds nothing" in page and "google/siglip" in page
    assert "peak signal-to-noise" not in page


def test_one_depth_has_a_page_too(tmp_path: Path) -> None:
    card = a_card(depth=1)
    assert "variance left" in write(tmp_path, {**card, "codes": card["codes"][:1]})


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"card.json is missing: make the card with `asvr tokenizer card`"):
        write_card_page(tmp_path)
    write(tmp_path, a_card())
    (tmp_path / "pictures" / "map-1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"map-1.png is missing"):
        write_card_page(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ValueError, match=r"card.json is broken"):
        write_card_page(tmp_path)
