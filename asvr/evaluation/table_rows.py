"""The rows of a data set's table: of parquet with the pictures inside, or of JSONL, TSV or CSV with picture files."""

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets
    import pyarrow


@dataclass(frozen=True)
class Rows:
    """A table, row by row.

    Args:
        label: The file, or the folder of several; what errors call it.
        folder: Names of picture files are relative to it.
        texts: The rows without pictures.
        pictures: The same rows, with the cells of at least the picture columns.
        picture_columns: Their names.
    """

    label: str
    folder: Path
    texts: Sequence[Mapping[str, Any]]
    pictures: Sequence[Mapping[str, Any]]
    picture_columns: frozenset[str]

    def __len__(self) -> int:
        """Counts the rows."""
        return len(self.texts)

    def where(self, number: int) -> str:
        """Names a row for an error."""
        return f"{self.label}: row {number} (counted from 0)"

    def item(self, number: int) -> dict[str, Any]:
        """Gives a row without its pictures."""
        return {column: cell for column, cell in self.texts[number].items() if column not in self.picture_columns}

    def cells(self, number: int, column: str) -> list[Any]:
        """Gives the pictures in a column of a row as they are written there: a list's, a single one, or none."""
        cell = self.pictures[number].get(column)
        cells = cell if isinstance(cell, list) else [cell]
        # An absent picture is null, or a structure of nulls.
        return [each for each in cells if (any(each.values()) if isinstance(each, dict) else each)]


def read_rows(files: Sequence[Path], *, images: Collection[str], nested: Collection[str], cache: Path | None) -> Rows:
    """Reads the files that `find_files` found.

    Args:
        files: At least one.
        images: Picture columns.
        nested: Columns of lists or structures, which a TSV or CSV file writes as JSON.
        cache: Where parquet is unpacked to be opened at any row; None for the usual place of `datasets`.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is damaged or has no row.
    """
    folder = files[0].parent
    label = str(files[0] if len(files) == 1 else folder)
    if files[0].suffix == ".parquet":
        rows = _read_parquet(files, label, images, cache)
    else:
        texts = list(_read_text(files[0], images, nested))
        rows = Rows(label, folder, texts, texts, frozenset(images))
    if not len(rows):
        raise ValueError(f"{label}: has no row. Fetch the data set again.")
    return rows


def first_items(files: Sequence[Path], *, images: Collection[str], nested: Collection[str]) -> Iterator[dict[str, Any]]:
    """Gives the rows without their pictures from the beginning, unpacking nothing; see `read_rows`."""
    if files[0].suffix != ".parquet":
        rows = read_rows(files, images=images, nested=nested, cache=None)
        yield from (rows.item(number) for number in range(len(rows)))
        return
    import pyarrow
    from pyarrow.parquet import ParquetFile

    for path in files:
        try:
            with ParquetFile(path) as file:
                columns = [field.name for field in file.schema_arrow if not _is_picture(field, images)]
                for batch in file.iter_batches(batch_size=1, columns=columns):
                    yield from batch.to_pylist()
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{path}: cannot be read as parquet ({error}). Fetch the data set again.") from error


def _read_parquet(files: Sequence[Path], label: str, images: Collection[str], cache: Path | None) -> Rows:
    # Heavy, and needed by this kind alone.
    import datasets
    import pyarrow
    from datasets.exceptions import DatasetsError

    names = [str(path) for path in files]
    try:
        table = datasets.load_dataset(
            "parquet", data_files=names, split="train", cache_dir=None if cache is None else str(cache)
        )
    except (DatasetsError, pyarrow.ArrowInvalid) as error:
        raise ValueError(
            f"{label}: cannot be read as parquet ({error.__cause__ or error}). Fetch the data set again."
        ) from error
    assert isinstance(table, datasets.Dataset)
    columns = [field.name for field in table.features.arrow_schema if _is_picture(field, images)]
    return Rows(
        label=label,
        folder=files[0].parent,
        texts=_ArrowRows(table.remove_columns(columns).with_format("arrow")),
        pictures=_ArrowRows(table.select_columns(columns).with_format("arrow")),
        picture_columns=frozenset(columns),
    )


def _is_picture(field: "pyarrow.Field", images: Collection[str]) -> bool:
    return field.name in images or _holds_bytes(field.type)


def _holds_bytes(kind: "pyarrow.DataType") -> bool:
    import pyarrow

    if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
        return True
    return any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


class _ArrowRows(Sequence[Mapping[str, Any]]):
    """Rows of a memory-mapped table as dictionaries; unlike in its own format, pictures are not decoded."""

    def __init__(self, table: "datasets.Dataset") -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: Any) -> Any:
        rows: Any = self.table[number]
        return rows.to_pylist()[0]


def _read_text(path: Path, images: Collection[str], nested: Collection[str]) -> Iterator[dict[str, Any]]:
    """Reads a text table in a few lines of our own: `datasets` would guess types, and copy the table to its cache."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 ({error}). Save it as UTF-8.") from error
    return _read_jsonl(path, text) if path.suffix == ".jsonl" else _read_csv(path, text, images, nested)


def _read_jsonl(path: Path, text: str) -> Iterator[dict[str, Any]]:
    # Not splitlines: U+2028 may stand inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = _parse(line, f"{path}: line {number}")
            if not isinstance(row, dict):
                raise ValueError(f"{path}: line {number} must be a JSON object, but is {line[:40]!r}. Mend the line.")
            yield row


def _read_csv(path: Path, text: str, images: Collection[str], nested: Collection[str]) -> Iterator[dict[str, Any]]:
    """Reads every cell as the text that it is, but for nested ones, which are JSON."""
    reader = csv.DictReader(StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
    try:
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            if None in row or None in row.values():
                num_columns = len(reader.fieldnames or ())
                raise ValueError(f"{where}: must have {num_columns} cells, as the first line has. Mend the line.")
            yield {
                column: _parse(cell, f"{where}, column {column!r}")
                if column in nested or (column in images and cell.startswith("["))
                else cell
                for column, cell in row.items()
            }
    except csv.Error as error:
        raise ValueError(f"{path}: cannot be read near line {reader.line_num} ({error}). Mend the line.") from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: is not JSON ({error}). Mend the line.") from error
