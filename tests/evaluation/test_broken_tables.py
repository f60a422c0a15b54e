"""Of broken data no question is put: the error names file and row."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asvr.evaluation.benchmarks.ai2d import AI2D
from asvr.evaluation.benchmarks.gqa import GQA
from asvr.evaluation.benchmarks.pope import POPE
from asvr.evaluation.tables import first_item, read_benchmark
from tests.evaluation.sample_sets import change_line, write_sample_set


def drop_columns(path: Path, *columns: str) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{column: cell for column, cell in row.items() if column not in columns} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))


Spoil = Callable[[Path], object]

JSONL: dict[str, tuple[Spoil, str]] = {
    "missing columns": (
        lambda path: drop_columns(path, "answer", "category"),
        r"test.jsonl: row 0 .*: has no answer, category\. Its columns are id, question_id, question, image_source\.",
    ),
    "column missing in one row": (
        lambda path: path.write_text(path.read_text().replace('"category": "random"', '"kind": "random"')),
        r"row 8 .*: has no category\.",
    ),
    "absent picture": (lambda path: (path.parent / "images/1.png").unlink(), r"row 2 .*: its picture cannot be read"),
    "not a picture": (
        lambda path: (path.parent / "images/1.png").write_bytes(b"<html>"),
        r"row 2 .*: its picture is no image file \(6 bytes, beginning with b'<html>'\)",
    ),
    "empty picture": (lambda path: (path.parent / "images/1.png").write_bytes(b""), r"row 2 .* no image file \(0 b"),
    "no picture": (
        lambda path: change_line(path, 3, image=None),
        r"row 3 .*: its prompt shows 1 pictures, but it has 0\.",
    ),
    "another marker": (
        lambda path: change_line(path, 3, question="Is <image> a picture?"),
        r"row 3 .*: its prompt shows 2 pictures, but it has 1\.",
    ),
    "duplicate id": (
        lambda path: change_line(path, 3, question_id="1"),
        r"row 3 .*: has the id 'adversarial/1' of an earlier row",
    ),
    "no answer": (lambda path: change_line(path, 3, answer=None), r"test.jsonl: row 3 \(counted from 0\): "),
    "no question": (lambda path: change_line(path, 3, question=7), r"test.jsonl: row 3 \(counted from 0\): "),
    "empty": (lambda path: path.write_text("\n"), r"test.jsonl: has no row"),
    "broken line": (lambda path: path.write_text(path.read_text()[:-9]), r"test.jsonl: line 12: is not JSON"),
    "not an object": (lambda path: path.write_text("[1]\n"), r"test.jsonl: line 1 must be a JSON object"),
    "not UTF-8": (lambda path: path.write_bytes("é".encode("latin-1")), r"test.jsonl: is not UTF-8"),
    "two kinds": (lambda path: path.with_suffix(".csv").write_text("id\n"), r"test.csv, test.jsonl could each be"),
    "two of a kind": (
        lambda path: shutil.copy(path, path.with_name("test-2.jsonl")),
        r"test-2.jsonl, test.jsonl could",
    ),
    "another split": (
        lambda path: path.rename(path.with_name("train.jsonl")),
        r"no file is the table of split 'test'; there is train.jsonl\. Fetch lmms-lab/POPE",
    ),
    "no table": (lambda path: path.unlink(), r"no file is the table of split 'test'; there is none\. Fetch"),
}


@pytest.mark.parametrize("case", JSONL)
def test_broken_data_is_refused_with_its_place(case: str, tmp_path: Path):
    folder = write_sample_set("pope", tmp_path / "pope", form="jsonl")
    spoil, message = JSONL[case]
    spoil(folder / "test.jsonl")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read_benchmark(POPE, protocol="paper", folder=folder)
    assert str(folder) in str(caught.value)


TSV: dict[str, tuple[Spoil, str]] = {
    "a cell too few": (lambda path: append(path, "Which?\t[]\t0\n"), r"test.tsv: line 10: must have 4 cells"),
    "a cell too many": (lambda path: append(path, "Which?\t[]\t0\t1\t2\n"), r"test.tsv: line 10: must have 4 cells"),
    "a list that is none": (
        lambda path: append(path, "Which?\tred, green\t0\timages/0.jpg\n"),
        r"test.tsv: line 10, column 'options': is not JSON",
    ),
    "an open quote": (lambda path: append(path, 'Which?\t"[]'), r"test.tsv: cannot be read near line 9 "),
    "empty options": (lambda path: append(path, "Which?\t[]\t0\timages/0.jpg\n"), r"test.tsv: row 8 .*"),
}


def append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


@pytest.mark.parametrize("case", TSV)
def test_a_broken_text_table_is_refused_with_its_line(case: str, tmp_path: Path):
    folder = write_sample_set("ai2d", tmp_path / "ai2d", form="tsv")
    spoil, message = TSV[case]
    spoil(folder / "test.tsv")
    with pytest.raises(ValueError, match=message):
        read_benchmark(AI2D, protocol="paper", folder=folder)


def test_damaged_parquet_is_refused_with_its_file(tmp_path: Path):
    folder = write_sample_set("pope", tmp_path / "pope")
    file = next(folder.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"test-00000-of-00001.parquet: cannot be read as parquet"):
        read_benchmark(POPE, protocol="paper", folder=folder)
    with pytest.raises(ValueError, match=r"test-00000-of-00001.parquet: cannot be read as parquet"):
        first_item(POPE, [file])


def test_a_picture_that_the_second_table_lacks_is_refused(tmp_path: Path):
    folder = write_sample_set("gqa", tmp_path / "gqa", form="jsonl")
    change_line(folder / "testdev_balanced_instructions.jsonl", 5, imageId="n77")
    with pytest.raises(ValueError, match=r"row 5 .*: shows the picture 'n77', but .*testdev_balanced_images.jsonl"):
        read_benchmark(GQA, protocol="paper", folder=folder)
    change_line(folder / "testdev_balanced_images.jsonl", 1, id="n0")
    with pytest.raises(ValueError, match=r"testdev_balanced_images.jsonl: every row must have its own 'id'"):
        read_benchmark(GQA, protocol="paper", folder=folder)
    (folder / "testdev_balanced_images.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"is the table of testdev_balanced_images, split 'testdev'"):
        read_benchmark(GQA, protocol="paper", folder=folder)


def test_a_table_without_a_question_is_refused(tmp_path: Path):
    folder = write_sample_set("pope", tmp_path / "pope", form="jsonl")
    none = replace(POPE, leave_out=lambda item: "too hard")
    with pytest.raises(ValueError, match=r"every row is left out \(\{'too hard': 12\}\)"):
        read_benchmark(none, protocol="paper", folder=folder)
    with pytest.raises(ValueError, match=r"no row is part of pope"):
        first_item(none, [folder / "test.jsonl"])


def test_arguments_are_checked(tmp_path: Path):
    with pytest.raises(ValueError, match=r"pope: no preset 'cambrian'\. Choose one of paper, lmms-eval, vlmevalkit\."):
        read_benchmark(POPE, protocol="cambrian", folder=tmp_path)
    with pytest.raises(ValueError, match="The limit is 0"):
        read_benchmark(POPE, protocol="paper", folder=tmp_path, limit=0)
