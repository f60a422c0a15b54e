import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from asvr.data.conversation import read_conversations
from asvr.world.generate import World, make_world
from asvr.world.making import sha256
from asvr.world.regions import read_described_pictures

WORLD = World(seed=5, train=6, unlabelled=4, val=3, test=5, tower=3, language=10)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "world"
    make_world(out, WORLD)
    return out


def test_equal_arguments_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "again", WORLD)
    again = {path.relative_to(tmp_path / "again"): sha256(path) for path in (tmp_path / "again").rglob("*.*")}
    assert again == {path.relative_to(made): sha256(path) for path in made.rglob("*.*")}
    assert len(again) == 6 + 4 + 3 + 5 + 3 + 8 + 1


def test_a_larger_world_begins_with_the_smaller_one(made: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "larger", replace(WORLD, train=9, unlabelled=0))
    few = json.loads((made / "train_instruct.json").read_text())
    assert json.loads((tmp_path / "larger" / "train_instruct.json").read_text())[:6] == few
    assert sha256(tmp_path / "larger" / "images" / "train-2.png") == sha256(made / "images" / "train-2.png")


def test_every_record_can_be_read_and_every_picture_is_there(made: Path) -> None:
    pictures = set()
    for path in made.glob("*.json"):
        if path.name != "world.json":
            pictures |= {name for record in read_conversations(path) for name in record.images}
    assert pictures == {path.name for path in (made / "images").iterdir()}
    assert all(Image.open(made / "images" / name).convert("RGB").size == (72, 72) for name in pictures)


def test_files_hold_as_much_as_was_asked_for(made: Path) -> None:
    records = {path.stem: json.loads(path.read_text()) for path in made.glob("*.json")}
    numbers = {name: len(found) for name, found in records.items() if "instruct" not in name and name != "world"}
    assert numbers == {"train_captions": 6, "unlabelled": 4, "tower": 3, "language": 10, "language_captions": 1}
    assert len({record["image"] for record in records["test_instruct"]}) == 5
    # Each picture is asked at most once in each category, so a score's category is balanced over pictures.
    assert max(Counter((r["image"], r["category"]) for r in records["test_instruct"]).values()) == 1
    assert len(records["train_instruct"][0]["conversations"]) == 16


def test_a_made_world_is_left_as_it_is(made: Path) -> None:
    before = (made / "world.json").stat().st_mtime_ns
    make_world(made, WORLD)
    assert (made / "world.json").stat().st_mtime_ns == before


def test_another_world_in_the_folder_is_an_error_naming_what_differs(made: Path) -> None:
    with pytest.raises(ValueError, match="test is 5, not 6"):
        make_world(made, replace(WORLD, test=6))


def test_a_folder_that_is_no_world_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="is not a world"):
        make_world(tmp_path, WORLD)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_an_interrupted_make_leaves_no_world_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("asvr.world.generate.question_records", stop)
        with pytest.raises(KeyboardInterrupt):
            make_world(tmp_path / "world", WORLD)
    assert not (tmp_path / "world").exists()
    make_world(tmp_path / "world", WORLD)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="'val': -1"):
        World(val=-1)


def test_regions_lie_where_the_things_are(made: Path) -> None:
    pictures = read_described_pictures(made / "tower.json")
    for picture in pictures:
        for region in picture.regions:
            left, top, right, bottom = region.box
            assert right - left == pytest.approx(1 / 3)
            assert bottom - top == pytest.approx(1 / 3)
            assert len(region.words) == 4


def test_captions_serve_as_regions_that_are_the_whole_picture(made: Path) -> None:
    first = read_described_pictures(made / "train_captions.json")[0]
    assert len(first.regions) == 1
    assert first.regions[0].box == (0, 0, 1, 1)
    assert "describe" not in first.regions[0].words


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "a", "image": "a.png"}, "says nothing"),
        ({"id": "a", "image": ["a.png", "b.png"]}, "2 images"),
        ({"id": "a", "image": "a.png", "regions": [{"box": [0, 0, 2, 1], "text": "red"}]}, "within 0 to 1"),
        ({"id": "a", "image": "a.png", "regions": [{"box": [0, 0, 1, 1], "text": " "}]}, "says nothing"),
        ({"id": "a", "image": "a.png", "regions": [{"text": "red"}]}, "box"),
    ],
)
def test_records_a_tower_cannot_learn_from_are_refused_by_name(tmp_path: Path, record: dict, message: str) -> None:
    (tmp_path / "records.json").write_text(json.dumps([record]))
    with pytest.raises(ValueError, match=rf"records.json: record 'a'.*{message}"):
        read_described_pictures(tmp_path / "records.json")
