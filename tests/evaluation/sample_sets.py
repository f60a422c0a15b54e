"""Small data sets of the fourteen benchmarks on disk, in the hub's own files or as text tables with picture files."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets

from tests.evaluation import sample_rows
from tests.evaluation.sample_rows import Row

TABLES: dict[str, tuple[str, Callable[[], Iterable[Row]]]] = {
    "textvqa": ("data/validation", sample_rows.textvqa),
    "docvqa": ("DocVQA/validation", sample_rows.docvqa),
    "ocrbench": ("data/test", sample_rows.ocrbench),
    "chartqa": ("data/test", sample_rows.chartqa),
    "mmbench": ("data/dev", sample_rows.mmbench),
    "mme": ("data/test", sample_rows.mme),
    "seed_image": ("data/test", sample_rows.seed_image),
    "gqa": ("testdev_balanced_instructions/testdev", sample_rows.gqa),
    "mmmu": ("data/validation", sample_rows.mmmu),
    "ai2d": ("data/test", sample_rows.ai2d),
    "realworldqa": ("data/test", sample_rows.realworldqa),
    "mmvp": ("Questions", sample_rows.mmvp),
    "hallusionbench": ("data/image", sample_rows.hallusionbench),
    "pope": ("data/test", sample_rows.pope),
}
"""Where each benchmark's table is in its folder on the hub, without the number of the shard; and its rows."""

MMVP_PICTURES = "MMVP Images"


def write_sample_set(name: str, folder: Path, *, form: str = "parquet", num_shards: int = 1) -> Path:
    """Writes a benchmark's rows into a folder of its own, such as `benchmarks-data/pope`, and gives that folder.

    Args:
        name: The benchmark's.
        folder: Made if it does not exist.
        form: "parquet", as on the hub; or "jsonl" or "tsv", a table that names files in `images` beside it. MMVP is a
            CSV table on the hub, and in every form.
        num_shards: Parquet files to cut the table into.
    """
    place, rows = TABLES[name]
    if name == "mmvp":
        write_pictures([sample_rows.draw_jpeg(index) for index in range(1, 9)], folder / MMVP_PICTURES)
        write_text(list(rows()), folder / f"{place}.csv")
    elif form == "parquet":
        write_parquet(list(rows()), folder / place, num_shards)
    else:
        write_text(list(rows()), folder / f"{Path(place).parent if name == 'gqa' else Path(place).name}.{form}")
    if name == "gqa":
        pictures = list(sample_rows.gqa_pictures())
        if form == "parquet":
            write_parquet(pictures, folder / "testdev_balanced_images/testdev", num_shards)
        else:
            write_text(pictures, folder / f"testdev_balanced_images.{form}")
    return folder


def write_parquet(rows: Sequence[Row], place: Path, num_shards: int = 1) -> None:
    """Writes `place-00000-of-00001.parquet` and so on, with the pictures inside."""
    place.parent.mkdir(parents=True, exist_ok=True)
    cells = [{column: embedded(cell) for column, cell in row.items()} for row in rows]
    features = dict(datasets.Dataset.from_list(cells).features)
    for column in features:
        pictures = [row[column] for row in rows if is_picture(row[column]) or is_pictures(row[column])]
        if pictures:
            features[column] = [datasets.Image()] if is_pictures(pictures[0]) else datasets.Image()
        elif column.startswith("image_") and column[6:].isdigit():
            features[column] = datasets.Image()
    table = datasets.Dataset.from_list(cells, features=datasets.Features(features))
    for number in range(num_shards):
        shard = table.shard(num_shards, number, contiguous=True)
        shard.to_parquet(f"{place}-{number:05}-of-{num_shards:05}.parquet")


def write_text(rows: Sequence[Row], path: Path) -> None:
    """Writes a JSONL, TSV or CSV table, and its pictures into `images` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for cell in row.values():
            if is_picture(cell) or is_pictures(cell):
                write_pictures([cell] if is_picture(cell) else cell, path.parent / "images")
    named = [{column: as_name(cell) for column, cell in row.items()} for row in rows]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in named), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        for row in named:
            writer.writerow({column: json.dumps(c) if isinstance(c, list | dict) else c for column, c in row.items()})


def write_pictures(pictures: Iterable[tuple[str, bytes]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures:
        (folder / name).write_bytes(content)


def change_line(path: Path, number: int, **cells: object) -> None:
    """Writes other cells into a row of a JSONL table."""
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    lines[number] = json.dumps({**json.loads(lines[number]), **cells}, ensure_ascii=False)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def embedded(cell: Any) -> Any:
    if is_pictures(cell):
        return [embedded(each) for each in cell]
    return {"path": cell[0], "bytes": cell[1]} if is_picture(cell) else cell


def as_name(cell: Any) -> Any:
    if is_pictures(cell):
        return [as_name(each) for each in cell]
    return f"images/{cell[0]}" if is_picture(cell) else cell


def is_picture(cell: Any) -> bool:
    return isinstance(cell, tuple)


def is_pictures(cell: Any) -> bool:
    return isinstance(cell, list) and bool(cell) and is_picture(cell[0])
