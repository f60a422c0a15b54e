"""The questions of a data set are those of its rows, in whatever form and place it is."""

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.benchmarks.gqa import GQA
from asvr.evaluation.benchmarks.pope import POPE
from asvr.evaluation.questions import QuestionSet
from asvr.evaluation.table_files import find_files, is_there
from asvr.evaluation.tables import first_item, read_benchmark
from tests.evaluation import sample_rows
from tests.evaluation.sample_sets import TABLES, change_line, write_sample_set

FORMS = ("parquet", "jsonl", "tsv")
LEFT_OUT = {"seed_image": 3, "hallusionbench": 2}
"""Rows about videos, and rows without a picture."""


def shown(name: str) -> list[bytes]:
    """The bytes of the picture that each row shows, from the rows themselves."""
    rows = list(TABLES[name][1]())
    if name == "gqa":
        pictures = {row["id"]: row["image"][1] for row in sample_rows.gqa_pictures()}
        return [pictures[row["imageId"]] for row in rows]
    if name == "mmvp":
        return [sample_rows.draw_jpeg(row["Index"])[1] for row in rows]
    if name == "seed_image":
        return [row["image"][0][1] for row in rows if row["data_type"] == "image"]
    cells = [row["image_1" if name == "mmmu" else "image"] for row in rows]
    return [cell[1] for cell in cells if cell is not None]


@pytest.mark.parametrize("name", TABLES)
def test_every_form_gives_the_questions_of_the_rows(name: str, tmp_path: Path):
    read: list[QuestionSet] = []
    for form in FORMS:
        folder = write_sample_set(name, tmp_path / form, form=form)
        read.append(read_benchmark(BENCHMARKS[name], protocol="paper", folder=folder))
        assert read[-1].data == str(folder)
    for questions in read:
        assert [questions.open(*question.images) for question in questions.questions] == shown(name)
        assert sum(questions.left_out.values()) == LEFT_OUT.get(name, 0)
        assert all(question.text.startswith("<image>\n") for question in questions.questions)
        for question in questions.questions:
            json.dumps(dict(question.item))
    # An item's numbers are text in TSV, so that nothing is guessed; all that is put and shown is the same.
    parquet, jsonl, tsv = ([replace(question, item={}) for question in each.questions] for each in read)
    assert parquet == jsonl == tsv


def test_a_picture_is_named_after_its_bytes(tmp_path: Path):
    questions = read_benchmark(POPE, protocol="paper", folder=write_sample_set("pope", tmp_path / "pope"))
    _, content = sample_rows.draw(0)
    assert questions.questions[0].images == (hashlib.sha256(content).hexdigest(),)
    # Two questions about each of two pictures, in each of the three categories.
    assert len({question.images for question in questions.questions}) == 2


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path):
    one, three = (
        read_benchmark(POPE, protocol="paper", folder=write_sample_set("pope", tmp_path / str(num), num_shards=num))
        for num in (1, 3)
    )
    assert one.questions == three.questions


def test_a_limit_reads_no_more_than_it_asks(tmp_path: Path):
    folder = write_sample_set("pope", tmp_path / "pope", form="jsonl")
    change_line(folder / "test.jsonl", -1, image="images/absent.png")
    limited = read_benchmark(POPE, protocol="paper", folder=folder, limit=5)
    assert [question.id for question in limited.questions] == [
        *(f"adversarial/{number}" for number in (1, 2, 3, 4)),
        "popular/1",
    ]
    with pytest.raises(FileNotFoundError, match="row 11"):
        read_benchmark(POPE, protocol="paper", folder=folder)


def test_another_number_of_rows_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = write_sample_set("pope", tmp_path / "pope", form="jsonl")
    read_benchmark(POPE, protocol="paper", folder=folder, limit=5)
    read_benchmark(replace(POPE, table=replace(POPE.table, num_rows=12)), protocol="paper", folder=folder)
    assert not caplog.messages
    read_benchmark(POPE, protocol="paper", folder=folder)
    assert caplog.messages == [f"{folder / 'test.jsonl'}: has 12 rows, but lmms-lab/POPE has 9,000."]


def test_parquet_is_unpacked_beside_the_data_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", elsewhere)
    folder = write_sample_set("pope", tmp_path / "pope")
    read_benchmark(POPE, protocol="paper", folder=folder)
    assert (folder / ".cache").is_dir() and not elsewhere.exists()
    table = pq.read_table(next(folder.rglob("*.parquet")))
    pq.write_table(table.slice(0, 3), next(folder.rglob("*.parquet")))
    assert len(read_benchmark(POPE, protocol="paper", folder=folder).questions) == 3


def test_parquet_without_the_notes_of_datasets_and_with_paths(tmp_path: Path):
    expected = read_benchmark(POPE, protocol="paper", folder=write_sample_set("pope", tmp_path / "pope"))
    rows = list(sample_rows.pope())
    for kind, picture in {
        "bytes": lambda name, content: content,
        "struct": lambda name, content: {"bytes": content, "path": None},
        "path in struct": lambda name, content: {"bytes": None, "path": f"images/{name}"},
        "path": lambda name, content: f"images/{name}",
    }.items():
        folder = write_sample_set("pope", tmp_path / kind, form="jsonl")
        (folder / "test.jsonl").unlink()
        pq.write_table(
            pa.Table.from_pylist([{**row, "image": picture(*row["image"])} for row in rows]), folder / "test.parquet"
        )
        read = read_benchmark(POPE, protocol="paper", folder=folder)
        assert read.questions == expected.questions
        assert read.open(*read.questions[0].images) == rows[0]["image"][1]


def test_the_first_row_is_shown_without_unpacking(tmp_path: Path):
    for form in FORMS:
        folder = write_sample_set("seed_image", tmp_path / form, form=form)
        item = first_item(BENCHMARKS["seed_image"], find_files(folder, None, "test"))
        assert (item["question"], "image" in item) == ("Which colour is box 1?", False)
        assert not (folder / ".cache").exists()


def test_text_is_taken_as_it_is(tmp_path: Path):
    folder = write_sample_set("pope", tmp_path / "pope", form="jsonl")
    odd = "Où est le „Käse“\u2028oder 'nan'? 你好"
    change_line(folder / "test.jsonl", 0, question=odd, image_source="NA")
    jsonl = read_benchmark(POPE, protocol="paper", folder=folder).questions
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    (folder / "test.jsonl").unlink()
    # With a byte order mark, as spreadsheets write it.
    with (folder / "test.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert read_benchmark(POPE, protocol="paper", folder=folder).questions == jsonl
    assert jsonl[0].text.split("\n")[1] == odd
    assert (jsonl[0].item["image_source"], jsonl[0].item["id"]) == ("NA", "0")


def write_hub(cache: Path, hub: str, commit: str) -> Path:
    """Lays out a data set as `huggingface_hub` keeps what it has downloaded."""
    repository = cache / f"datasets--{hub.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return repository / "snapshots" / commit


def test_what_is_in_no_folder_comes_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    commit = "0123456789abcdef" * 2 + "01234567"
    for name in ("gqa", "mmvp"):
        benchmark = BENCHMARKS[name]
        write_sample_set(name, write_hub(tmp_path / "hub", benchmark.table.hub, commit))
        read = read_benchmark(benchmark, protocol="paper", folder=None)
        assert read.data == f"{benchmark.table.hub}@{commit}"
        assert [read.open(*question.images) for question in read.questions] == shown(name)
        assert not list((tmp_path / "hub").rglob(".cache"))


def test_missing_data_says_what_to_fetch_and_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "gqa"
    with pytest.raises(FileNotFoundError) as caught:
        read_benchmark(GQA, protocol="paper", folder=folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: no such folder, and lmms-lab/GQA cannot be had from the hub (")
    assert f"12,578 rows, {GQA.table.size}" in message
    assert message.endswith(
        "hf download --repo-type dataset lmms-lab/GQA --include 'testdev_balanced_instructions/testdev-*.parquet' "
        f"--include 'testdev_balanced_images/testdev-*.parquet' --local-dir {folder}"
    )
    assert not is_there(GQA, folder)
    with pytest.raises(FileNotFoundError, match=r"^lmms-lab/POPE .* --local-dir benchmarks-data/pope$"):
        read_benchmark(POPE, protocol="paper", folder=None)
    # Only the card has been downloaded.
    snapshot = write_hub(tmp_path / "hub", "lmms-lab/POPE", "0" * 40)
    snapshot.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no file is the table of split 'test'; there is none.*/pope$"):
        read_benchmark(POPE, protocol="paper", folder=None)
