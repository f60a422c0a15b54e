"""`asvr data`, and what a user can get wrong about a recipe's data sets."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from asvr.cli.data import app
from asvr.cli.sources import stage_sources
from asvr.data.manifest import MANIFEST
from asvr.recipes import RECIPES
from tests.cli.command import Command

TINY = RECIPES["tiny-asvr"]


def said_by(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})
    if isinstance(result.exception, ValueError | OSError):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def root(parts: Path, tmp_path: Path) -> Path:
    """Copies of the tiny recipes' data sets where the manifest says they lie, smaller than they should be."""
    for name, file in (("world-captions", "captions"), ("world-questions", "instruct")):
        shutil.copytree(parts / "records" / "images", tmp_path / "root" / name / "images")
        shutil.copy(parts / "records" / f"{file}.json", tmp_path / "root" / name / MANIFEST[name].file)
    return tmp_path / "root"


def test_every_data_set_is_listed_with_its_hub_name_in_full() -> None:
    code, table = said_by("list")
    assert code == 0
    for name, published in MANIFEST.items():
        line = next(line for line in table.splitlines() if line.split()[0:1] == [name])
        assert f"{published.num_records:,}" in line and published.hub in line


def test_one_is_shown_with_its_commands() -> None:
    _, shown = said_by("list", "bunny-laion-2m")
    assert "about 2,000,000 records, 48.9 GB" in shown and "Apache 2.0" in shown
    assert all(command in shown for command in MANIFEST["bunny-laion-2m"].get)
    with pytest.raises(ValueError, match="no data set 'bunny-3m': did you mean 'bunny-2m'"):
        said_by("list", "bunny-3m")


def test_a_copy_that_is_too_small_fails_the_check(root: Path) -> None:
    code, said = said_by("check", "world-captions", "--root", root)
    assert code == 1 and "has 8 records, but captions of the embedded world has 1,000: fetch it again" in said
    assert (code, said) == said_by("check", "world-captions", root / "world-captions")


def test_records_of_one_s_own_are_checked_without_a_manifest(parts: Path, tmp_path: Path) -> None:
    records = Path(shutil.copytree(parts / "records", tmp_path / "records"))
    code, said = said_by("check", records / "instruct.json", records / "images")
    assert code == 0 and "can be trained on" in said.replace("\n", " ")
    (records / "images" / "7.png").unlink()
    code, said = said_by("check", records / "instruct.json", records / "images", "--fast")
    assert code == 1 and "1 of 8 pictures are missing" in said and "'7.png'" in said and "not opened" in said


def test_check_needs_to_know_where(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by its folder or by --root, not both"):
        said_by("check", "llava-558k")
    with pytest.raises(FileNotFoundError, match=r"no such folder\. `asvr data list llava-558k` says how"):
        said_by("check", "llava-558k", tmp_path / "none")


def test_a_table_is_unpacked_and_then_checked(tmp_path: Path, image_folder: Path) -> None:
    turns = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a box"}]
    cell = {"bytes": (image_folder / "0.png").read_bytes(), "path": None}
    rows = [{"id": "a", "image": cell, "conversations": turns}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "one.parquet")
    code, said = said_by("unpack", tmp_path / "one.parquet", tmp_path / "out", "--prompt", "What is it?")
    assert code == 0 and "records.jsonl" in said
    assert json.loads((tmp_path / "out" / "records.jsonl").read_text())["conversations"][0]["value"] == (
        "<image>\nWhat is it?"
    )
    assert said_by("check", tmp_path / "out" / "records.jsonl", tmp_path / "out" / "images")[0] == 0


def test_a_root_serves_whatever_is_not_given(root: Path, tmp_path: Path) -> None:
    found = stage_sources([], [], TINY, root=root)
    assert found["pretrain"][0].data == root / "world-captions" / "train_captions.json"
    assert found["instruct"][0].images == root / "world-questions" / "images"
    assert [one.name for group in found.values() for one in group] == ["world-captions", "world-questions"]
    own = stage_sources([f"pretrain={tmp_path}/mine.json"], [f"pretrain={tmp_path}"], TINY, root=root)
    assert [(one.name, one.images) for one in own["pretrain"]] == [("", tmp_path)]
    assert own["instruct"] == found["instruct"]
    named = stage_sources([f"instruct/world-questions={tmp_path}/a.json"], [str(tmp_path)], TINY, root=root)
    assert [(one.name, one.images) for one in named["instruct"]] == [("world-questions", tmp_path)]


def test_a_folder_of_pictures_may_be_of_one_data_set(root: Path, tmp_path: Path) -> None:
    folders = [f"instruct/world-questions={tmp_path}", "elsewhere"]
    data = ["pretrain=a.json", "instruct/world-questions=b.json"]
    found = stage_sources(data, folders, TINY)
    assert (found["pretrain"][0].images, found["instruct"][0].images) == (Path("elsewhere"), tmp_path)


BAD: dict[str, tuple[Callable[[Command, Path], object], list[str]]] = {
    "unknown data set of a stage": (
        lambda c, _: c.data.append(f"instruct/world-question={c.records / 'instruct.json'}"),
        ["stage 'instruct' reads no data set 'world-question': did you mean 'world-questions'?"],
    ),
    "data set of another stage": (
        lambda c, _: c.data.append("instruct/llava-558k=x.json"),
        ["reads no data set 'llava-558k': it reads world-questions"],
    ),
    "data set given twice": (
        lambda c, _: c.data.__setitem__(slice(1, 2), [f"instruct/world-questions={c.records / 'eval.json'}"] * 2),
        ["stage 'instruct' is given 'world-questions' 2 times"],
    ),
    "data set beside data of one's own": (
        lambda c, _: c.data.append(f"instruct/world-questions={c.records / 'eval.json'}"),
        ["stage 'instruct' has named sources", "instruct.json is none of them", "--data instruct/NAME=FILE"],
    ),
    "weight of data without a name": (
        lambda c, _: c.changes.update({"stages.instruct.mixture.world-questions.weight": "0.5"}),
        ["stage 'instruct' weighs its sources (world-questions 0.5)", "--data instruct/NAME=FILE"],
    ),
    "weight of nothing": (
        lambda c, _: c.changes.update({"stages.instruct.mixture.world-questions.weight": "0"}),
        ["mixture.world-questions.weight is 0.0", "above zero"],
    ),
    "weight that takes nothing": (
        lambda c, _: (
            c.changes.update({"stages.instruct.mixture.world-questions.weight": "0.01"}),
            c.data.__setitem__(1, f"instruct/world-questions={c.records / 'instruct.json'}"),
        ),
        ["weight is 0.01, which takes none of the 10 records", "set a larger weight"],
    ),
    "unknown data set in --set": (
        lambda c, _: c.changes.update({"stages.instruct.mixture.world-question.weight": "1"}),
        ["did you mean 'world-questions'?"],
    ),
    "root that is not there": (
        lambda c, root: (c.data.clear(), c.images.clear(), c.more.extend(["--data-root", str(root / "none")])),
        ["none: no such folder", "your copies of world-captions"],
    ),
    "copy that is not under the root": (
        lambda c, root: (
            c.data.clear(),
            c.images.clear(),
            (root / "world-questions" / "train_instruct.json").unlink(),
            c.more.extend(["--data-root", str(root)]),
        ),
        [
            "train_instruct.json: no such file, but stage 'instruct' reads questions about the embedded world there",
            "`asvr data list world-questions`",
        ],
    ),
    "pictures that the root would hide": (
        lambda c, root: (c.data.clear(), c.more.extend(["--data-root", str(root)])),
        ["would change nothing", "--images STAGE/NAME=FOLDER"],
    ),
    "neither data nor root": (
        lambda c, _: c.data.clear(),
        ["stage 'pretrain' has no data: it is meant for captions of the embedded world", "or --data-root FOLDER"],
    ),
    "table in place of records": (
        lambda c, _: (
            pq.write_table(pa.table({"id": ["a"]}), c.records / "t.parquet"),
            c.data.__setitem__(1, f"instruct={c.records / 't.parquet'}"),
        ),
        ["t.parquet: is a table, not records", "asvr data unpack"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_ends_in_one_line_that_mends_it(
    name: str, parts: Path, root: Path, tmp_path: Path, asvr: Callable
) -> None:
    command = Command(parts, tmp_path)
    spoil, expected = BAD[name]
    spoil(command, root)
    code, said = asvr(command.argv())
    assert code == 1 and "Traceback" not in said
    for words in expected:
        assert words in said, said
    assert not command.out.exists()


def test_a_table_without_the_columns_is_refused(tmp_path: Path, asvr: Callable) -> None:
    pq.write_table(pa.table({"url": ["a"], "caption": ["b"]}), tmp_path / "t.parquet")
    code, said = asvr(["data", "unpack", str(tmp_path / "t.parquet"), str(tmp_path / "out")])
    assert code == 1 and "has the columns url, caption" in said and "Rename its columns" in said


def test_the_wrong_count_is_the_exit_code(root: Path, asvr: Callable) -> None:
    code, said = asvr(["data", "check", "world-questions", str(root / "world-questions")])
    assert code == 1 and "has 10 records, but questions about the embedded world has 1,000" in said
