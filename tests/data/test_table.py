import hashlib
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asvr.data.conversation import read_conversations
from asvr.data.dataset import Source, load_source
from asvr.data.table import unpack


def row(name: str, image: Any, question: str = "<image>\nWhich?", answer: str = "red") -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": name, "image": image, "conversations": turns, "data_source": "made"}


def cell(folder: Path, number: int) -> dict[str, Any]:
    return {"bytes": (folder / f"{number}.png").read_bytes(), "path": f"{number}.png"}


@pytest.fixture
def saved(image_folder: Path, tmp_path: Path) -> Path:
    """Two parquet files as LLaVA-OneVision-Data's: pictures inside, one row of text alone, one picture twice."""
    parts = [
        [row("a", cell(image_folder, 0)), row("b", None, "Is there a box?", "yes")],
        [row("c", cell(image_folder, 1), "<image>"), row("d", cell(image_folder, 0))],
    ]
    for number, rows in enumerate(parts):
        (tmp_path / "table" / "made(of,parts)").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table" / "made(of,parts)" / f"{number}.parquet")
    return tmp_path / "table"


def test_records_and_pictures_are_what_the_table_held(saved: Path, image_folder: Path, tmp_path: Path) -> None:
    records = unpack(saved, tmp_path / "out", progress=False)
    found = load_source(Source(records, tmp_path / "out" / "images"))
    assert [one.id for one in found] == ["a", "b", "c", "d"]
    assert [turn.text for turn in found[1].turns] == ["Is there a box?", "yes"] and found[1].images == ()
    for one, number in ((found[0], 0), (found[2], 1)):
        content = Path(one.images[0]).read_bytes()
        assert content == (image_folder / f"{number}.png").read_bytes()
        assert Path(one.images[0]).name == f"{hashlib.sha256(content).hexdigest()[:32]}.png"
    assert found[3].images == found[0].images
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images", "records.jsonl", "table.json"]


def test_it_continues_where_it_was_cut_short(saved: Path, tmp_path: Path) -> None:
    whole = unpack(saved, tmp_path / "whole", progress=False).read_text()
    first, second = sorted(saved.rglob("*.parquet"))
    content = second.read_bytes()
    second.write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r"1\.parquet: cannot be read as a table .* Fetch the file again"):
        unpack(saved, tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "records.jsonl").exists()
    second.write_bytes(content)
    # What was unpacked is not read again, and nothing is once all is.
    first.write_bytes(b"")
    assert unpack(saved, tmp_path / "out", progress=False).read_text() == whole
    second.write_bytes(b"")
    assert unpack(saved, tmp_path / "out", progress=False).read_text() == whole


def test_a_prompt_is_added_to_questions_that_are_a_picture_alone(saved: Path, tmp_path: Path) -> None:
    found = read_conversations(unpack(saved, tmp_path / "out", prompt="Describe it.", progress=False))
    assert [one.turns[0].text for one in found] == [
        "<image>\nWhich?",
        "Is there a box?",
        "<image>\nDescribe it.",
        "<image>\nWhich?",
    ]
    with pytest.raises(ValueError, match=r"holds a table that is not .* with this prompt"):
        unpack(saved, tmp_path / "out", progress=False)


def test_several_pictures_and_names_of_files(image_folder: Path, tmp_path: Path) -> None:
    two = row("two", None, "<image><image> Same?", "no")
    del two["image"]
    rows = [{**two, "images": [cell(image_folder, 0), cell(image_folder, 1)]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "several.parquet")
    (one,) = load_source(
        Source(unpack(tmp_path / "several.parquet", tmp_path / "a", progress=False), tmp_path / "a/images")
    )
    assert [Path(name).read_bytes() for name in one.images] == [
        (image_folder / f"{number}.png").read_bytes() for number in (0, 1)
    ]
    pq.write_table(pa.Table.from_pylist([row("named", "0.png")]), tmp_path / "named.parquet")
    (one,) = load_source(Source(unpack(tmp_path / "named.parquet", tmp_path / "b", progress=False), image_folder))
    assert one.images == (str(image_folder / "0.png"),)


def test_a_folder_that_datasets_has_saved(image_folder: Path, tmp_path: Path) -> None:
    rows = [row("a", str(image_folder / "0.png")), row("b", str(image_folder / "1.png"))]
    made = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    made.save_to_disk(tmp_path / "saved")
    found = load_source(
        Source(unpack(tmp_path / "saved", tmp_path / "out", progress=False), tmp_path / "out" / "images")
    )
    assert [Path(one.images[0]).read_bytes() for one in found] == [
        (image_folder / f"{number}.png").read_bytes() for number in (0, 1)
    ]


def test_records_that_json_would_not_pass_are_refused_alike(saved: Path, tmp_path: Path) -> None:
    rows = [row("a", None, "<image>\nWhich?")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "bad.parquet")
    records = unpack(tmp_path / "bad.parquet", tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match=r"record 0 \(id 'a'\): 1 <image> in the text for 0 image"):
        read_conversations(records)
    assert json.loads(records.read_text()) == {"id": "a", "conversations": rows[0]["conversations"]}


@pytest.mark.parametrize(("named", "error"), [("none", FileNotFoundError), ("images", ValueError)])
def test_what_is_no_table_is_refused(named: str, error: type[Exception], image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(error, match=r"Give (a parquet file|the folder)"):
        unpack(image_folder.parent / named, tmp_path / "out", progress=False)
