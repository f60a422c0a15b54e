import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asvr.targets.tokenizer import VisualTokenizer
from tests.cli.command import Command, truncate

FIT: dict[str, tuple[Callable[[Command], object], list[str], list[str]]] = {
    "too few images": (
        lambda c: None,
        ["--codes", "1024"],
        # Eight pictures, all kept for the fit, of four visual tokens each.
        ["32 feature vectors cannot fill 1024 codes", "give more images or fewer codes"],
    ),
    "layer that is not there": (lambda c: None, ["--codes", "4", "--layer", "9"], ["layer 9", "choose -2"]),
    "truncated picture": (truncate, ["--codes", "4"], ["7.png: record 'c7'", "cannot be read"]),
    "no images": (
        lambda c: c.rewrite(lambda records: records.__setitem__(slice(0, 9), []), "instruct.json"),
        ["--codes", "4", "--data", "instruct.json"],
        ["instruct.json has no images"],
    ),
    "layer of pixels": (lambda c: None, ["--pixels", "--layer", "1"], ["--layer does not apply to pixel patches"]),
    "no such features": (lambda c: None, ["--features", "siglop"], ["--features siglop: choose one of siglip, "]),
    "no grid": (lambda c: None, ["--grid", "27"], ["--grid 27: write ROWSxCOLUMNS"]),
    "no tower": (lambda c: None, ["--codes", "4", "--tower", "./nowhere"], ["no model folder ./nowhere"]),
}


@pytest.mark.parametrize("kind", list(FIT))
def test_a_tokenizer_that_cannot_be_fitted_leaves_nothing(
    kind: str, parts: Path, tmp_path: Path, asvr: Callable
) -> None:
    command = Command(parts, tmp_path)
    spoil, options, words = FIT[kind]
    spoil(command)
    options = [str(command.records / option) if option.endswith(".json") else option for option in options]
    given = ["--data", str(command.records / "captions.json"), "--images", command.images[0]]
    tower = ["--tower", str(parts / "tower"), "--depth", "2"]
    code, said = asvr(["tokenizer", "fit", *given, *tower, "--out", str(tmp_path / "tokenizer"), *options])
    assert code == 1, said
    assert said.startswith("error: ") and all(word in said for word in words), said
    assert not (tmp_path / "tokenizer").exists()


def test_a_tokenizer_is_fitted_without_the_broken_pictures(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    truncate(command)
    given = ["--data", str(command.records / "captions.json"), "--images", command.images[0], "--skip-bad"]
    size = ["--tower", str(parts / "tower"), "--depth", "2", "--codes", "4", "--iterations", "2"]
    code, said = asvr(["tokenizer", "fit", *given, *size, "--out", str(tmp_path / "tokenizer")])
    assert code == 0 and "left out" in said and "7.png" in said
    assert about(tmp_path / "tokenizer")["images"] == 7
    assert "7.png" in (tmp_path / "tokenizer" / "quarantine.txt").read_text()


def about(tokenizer: Path) -> dict[str, Any]:
    return json.loads((tokenizer / "visual_tokenizer.json").read_text())["about"]


def test_a_tokenizer_of_named_features_is_fitted_on_a_folder(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    given = ["--data", str(parts / "records" / "images"), "--features", "siglip2", "--tower", str(parts / "tower")]
    size = ["--depth", "2", "--codes", "4", "--iterations", "2", "--passes", "1", "--shared", "--width", "3"]
    geometry = ["--grid", "4x1", "--layer", "1", "--layer", "-1", "--image-size", "24"]
    code, said = asvr(["tokenizer", "fit", *given, *size, *geometry, "--out", str(tmp_path / "tokenizer")])
    assert code == 0, said
    tokenizer = VisualTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer.grid == (4, 1) and tokenizer.features.dim == 2 * 32
    assert tokenizer.quantizer.books.shape == (1, 4, 3) and tokenizer.quantizer.depth == 2
