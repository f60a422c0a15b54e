import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from asvr.targets.features import PixelPatches
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from tests.tokenizers.test_card_zero_shot import write_teacher

Run = Callable[[list[str]], tuple[int, str]]


def make(asvr: Run, tokenizer: Path, records: Path, out: Path, *options: str) -> dict[str, Any]:
    code, said = asvr([*argv(tokenizer, records, out), *options])
    assert code == 0, said
    return json.loads((out / "card.json").read_text())


def argv(tokenizer: Path, records: Path, out: Path) -> list[str]:
    given = ["--data", str(records / "captions.json"), "--images", str(records / "images")]
    return ["tokenizer", "card", str(tokenizer), *given, "--out", str(out)]


def with_books(parts: Path, folder: Path, change: Callable[[torch.Tensor], None]) -> Path:
    """The tiny tokenizer with its codebooks changed."""
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    change(tokenizer.quantizer.books)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_card_says_what_was_measured(parts: Path, tmp_path: Path, asvr: Run) -> None:
    card = make(asvr, parts / "tokenizer", parts / "records", tmp_path / "card")
    saved = json.loads((parts / "tokenizer" / "visual_tokenizer.json").read_text())
    assert card["verdict"] == []
    assert card["fingerprint"] == saved["fingerprint"] and card["environment"]["commit"]
    assert (card["images"], card["vectors"], card["left_out"]) == (8, 32, 0)
    # Eight pictures of four positions are few for eight codes.
    assert card["cautions"] == ["only 32 vectors for 8 codes: give more pictures"]
    assert len(card["depths"]) == 3 and card["zero_shot"] is None and card["pixels"] is None
    assert len(card["samples"]) == 6 and all(len(sample["maps"]) == 3 for sample in card["samples"])
    shown = [code["depth"] for code in card["codes"]]
    assert shown == sorted(shown) and set(shown) == {0, 1}
    files = [sample["picture"] for sample in card["samples"]] + [code["patches"] for code in card["codes"]]
    assert all((tmp_path / "card" / file).is_file() for file in files)
    assert (tmp_path / "card" / "quarantine.txt").read_text() == ""
    assert "Healthy." in (tmp_path / "card" / "card.html").read_text()


def far_away(books: torch.Tensor) -> None:
    books[:, 1:] += 1000


def all_equal(books: torch.Tensor) -> None:
    books[:] = books[:, :1].clone()


@pytest.mark.parametrize("change", [far_away, all_equal])
def test_a_collapsed_codebook_is_called_unhealthy(
    change: Callable[[torch.Tensor], None], parts: Path, tmp_path: Path, asvr: Run
) -> None:
    collapsed = with_books(parts, tmp_path / "tokenizer", change)
    card = make(asvr, collapsed, parts / "records", tmp_path / "card")
    assert [figures["perplexity"] for figures in card["depths"]] == pytest.approx([1, 1, 1])
    assert [figures["usage"] for figures in card["depths"]] == [1 / 8] * 3
    assert card["verdict"] and all(f"depth {depth}: " in " ".join(card["verdict"]) for depth in range(3))
    page = (tmp_path / "card" / "card.html").read_text()
    assert "Unhealthy." in page and "Healthy." not in page


def test_decoded_pictures_are_compared(parts: Path, tmp_path: Path, asvr: Run) -> None:
    source = VisualTokenizer.from_pretrained(parts / "tokenizer").features
    pixels = PixelPatches(source.processor, 12)
    # One code, a grey patch: the error is the distance of the pixels to grey.
    grey = VisualTokenizer(pixels, ResidualQuantizer(torch.zeros(1, 2, pixels.dim)))
    grey.save_pretrained(tmp_path / "tokenizer")
    card = make(asvr, tmp_path / "tokenizer", parts / "records", tmp_path / "card")
    from asvr.data.pictures import find_pictures

    found = find_pictures(str(parts / "records" / "captions.json"), parts / "records" / "images")
    errors = torch.stack([(source.prepare(found.open(index)) / 2).square().mean() for index in range(8)])
    assert card["pixels"]["psnr"]["mean"] == pytest.approx(float((-10 * errors.log10()).mean()), abs=1e-3)
    assert 0 < card["pixels"]["ssim"]["mean"] < 0.5
    assert all((tmp_path / "card" / sample["decoded"]).is_file() for sample in card["samples"])


def test_retention_is_on_the_card(parts: Path, tmp_path: Path, asvr: Run, tokenizer: PreTrainedTokenizerFast) -> None:
    features = VisualTokenizer.from_pretrained(parts / "tokenizer").features
    assert isinstance(features, TowerFeatures)
    teacher = write_teacher(tmp_path / "teacher", features.tower, tokenizer)
    card = make(asvr, parts / "tokenizer", parts / "records", tmp_path / "card", "--teacher", str(teacher))
    assert (card["zero_shot"]["pictures"], card["zero_shot"]["captions"]) == (8, 4)
    assert "Zero-shot retrieval" in (tmp_path / "card" / "card.html").read_text()
    uncaptioned = argv(parts / "tokenizer", parts / "records", tmp_path / "other")
    uncaptioned[4] = str(parts / "records" / "unlabelled.json")
    code, said = asvr([*uncaptioned, "--teacher", str(teacher)])
    assert code == 1 and "0.png has no caption" in said and "leave --teacher out" in said


def test_pictures_that_cannot_be_read(parts: Path, tmp_path: Path, asvr: Run) -> None:
    records = Path(shutil.copytree(parts / "records", tmp_path / "records"))
    picture = records / "images" / "7.png"
    picture.write_bytes(picture.read_bytes()[:200])
    code, said = asvr(argv(parts / "tokenizer", records, tmp_path / "card"))
    assert code == 1 and "7.png" in said and not (tmp_path / "card" / "card.json").exists()
    card = make(asvr, parts / "tokenizer", records, tmp_path / "card", "--skip-bad")
    assert (card["images"], card["left_out"]) == (7, 1)
    quarantined = (tmp_path / "card" / "quarantine.txt").read_text().splitlines()
    assert len(quarantined) == 1 and quarantined[0].startswith(f"{picture}: ")
    assert "1 pictures could not be read" in (tmp_path / "card" / "card.html").read_text()
    for each in (records / "images").iterdir():
        each.write_bytes(b"no picture")
    code, said = asvr([*argv(parts / "tokenizer", records, tmp_path / "none"), "--skip-bad"])
    assert code == 1 and "none of the 8 pictures can be read" in said


def test_no_tokenizer_no_card(parts: Path, tmp_path: Path, asvr: Run) -> None:
    code, said = asvr(argv(parts / "tower", parts / "records", tmp_path / "card"))
    assert code == 1 and "holds no visual tokenizer" in said and not (tmp_path / "card").exists()


def test_the_batch_does_not_change_the_card(parts: Path, tmp_path: Path) -> None:
    from asvr.data.pictures import find_pictures
    from asvr.tokenizers.card import CardSettings, make_card

    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    found = find_pictures(str(parts / "records" / "images"))
    cards = [
        make_card(tokenizer, found, tmp_path / str(size), settings=CardSettings(batch_size=size), facts={})
        for size in (1, 8)
    ]
    one, eight = ([code["code"] for code in card["codes"]] for card in cards)
    assert one == eight
    for alone, together in zip(*(card["depths"] for card in cards), strict=True):
        assert together["residual_energy"] == pytest.approx(alone["residual_energy"], rel=1e-5)
        assert together["cosine"] == pytest.approx(alone["cosine"], abs=1e-5)
