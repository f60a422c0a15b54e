"""Pictures to make targets of: those of a folder, of LLaVA records, or of a `datasets` table."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from PIL import Image

from asvr.data.dataset import Source, load_source
from asvr.data.images import open_image

if TYPE_CHECKING:
    import datasets

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""Files of a folder that are taken for pictures; others are left alone."""


@runtime_checkable
class Pictures(Protocol):
    """A fixed list of pictures, opened one by one; data workers may hold it."""

    def __len__(self) -> int:
        """Counts the pictures."""
        ...

    def name(self, index: int) -> str:
        """Says which picture it is, for people."""
        ...

    def open(self, index: int) -> Image.Image:
        """Decodes a picture, as RGB; raises ValueError with its name if it cannot be read."""
        ...

    def caption(self, index: int) -> str | None:
        """Gives what is said of the picture, if anything is."""
        ...


@dataclass(frozen=True)
class PictureFiles:
    """Picture files, with the record that shows each and what that says of it.

    Args:
        paths: The files.
        records: Id of a record that shows each.
        captions: The record's first answer, None without.
    """

    paths: tuple[Path, ...]
    records: tuple[str, ...]
    captions: tuple[str | None, ...]

    def __len__(self) -> int:
        """Counts the pictures."""
        return len(self.paths)

    def name(self, index: int) -> str:
        """Gives the path."""
        return str(self.paths[index])

    def open(self, index: int) -> Image.Image:
        """Decodes the file; errors are those of `open_image`."""
        return open_image(self.paths[index], record=self.records[index])

    def caption(self, index: int) -> str | None:
        """Gives the record's first answer."""
        return self.captions[index]


@dataclass(frozen=True)
class PictureTable:
    """A column of pictures in a `datasets` table, whose bytes are decoded as those of files are.

    Args:
        table: The table, its picture column not decoded.
        label: What errors call it.
        column: Name of the picture column.
        caption_column: Name of the column with captions; None if there are none.
    """

    table: "datasets.Dataset"
    label: str
    column: str
    caption_column: str | None

    def __len__(self) -> int:
        """Counts the rows."""
        return len(self.table)

    def name(self, index: int) -> str:
        """Gives the row."""
        return f"{self.label}, row {index}"

    def open(self, index: int) -> Image.Image:
        """Decodes the row's picture; errors are those of `open_image`."""
        cell: dict[str, Any] | None = self.table[index][self.column]
        if not cell or (cell["bytes"] is None and cell["path"] is None):
            raise ValueError(f"{self.name(index)}: the column {self.column!r} is empty. Leave the row out.")
        file = Path(cell["path"]) if cell["bytes"] is None else io.BytesIO(cell["bytes"])
        return open_image(file, record=self.name(index))

    def caption(self, index: int) -> str | None:
        """Gives the row's caption."""
        return self.table[index][self.caption_column] if self.caption_column else None


def find_pictures(
    data: str,
    images: Path | None = None,
    *,
    column: str = "image",
    caption_column: str | None = None,
    split: str = "train",
    on_skip: Callable[[str], None] | None = None,
) -> Pictures:
    """Lists pictures without decoding them, each file once, in an order that depends on their names alone.

    Args:
        data: A folder of pictures, a file of LLaVA records, a parquet file or a folder of them, a folder that
            `datasets` has saved, or the name of a data set on the hub.
        images: Folder of the images of LLaVA records.
        column: Picture column of a table.
        caption_column: Caption column of a table.
        split: Split of a data set on the hub.
        on_skip: Called with the reason for each broken record, which is then left out; by default it is an error.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If there are no pictures, or records are broken.
    """
    path = Path(data).expanduser()
    if path.suffix in (".json", ".jsonl"):
        found: Pictures = _of_records(Source(path, images), on_skip)
    elif path.is_dir() and not any((path / name).is_file() for name in ("dataset_info.json", "state.json")):
        found = _of_folder(path) if not list(path.glob("*.parquet")) else _of_table(path, column, caption_column, split)
    elif path.exists() or data[:1] not in ("/", ".", "~"):
        found = _of_table(path if path.exists() else data, column, caption_column, split)
    else:
        raise FileNotFoundError(f"{data}: no such file or folder of pictures")
    if not len(found):
        raise ValueError(f"{data} has no images: give a folder with {', '.join(SUFFIXES)} files, records or a data set")
    return found


def _of_folder(folder: Path) -> PictureFiles:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return PictureFiles(tuple(folder / name for name in names), tuple(names), (None,) * len(names))


def _of_records(source: Source, on_skip: Callable[[str], None] | None) -> PictureFiles:
    shown: dict[str, tuple[str, str | None]] = {}
    for one in load_source(source, skip_bad=on_skip is not None, on_skip=on_skip):
        answer = next((turn.text for turn in one.turns if turn.role == "assistant"), None)
        for path in one.images:
            # An answer about several pictures is no caption of any of them.
            shown.setdefault(path, (one.id, answer if len(one.images) == 1 else None))
    records, captions = zip(*shown.values(), strict=True) if shown else ((), ())
    return PictureFiles(tuple(map(Path, shown)), tuple(records), tuple(captions))


def _of_table(source: Path | str, column: str, caption_column: str | None, split: str) -> PictureTable:
    # Heavy, and needed by tables alone.
    import datasets

    if isinstance(source, str):
        table = datasets.load_dataset(source, split=split)
    elif source.is_dir() and not list(source.glob("*.parquet")):
        table = datasets.load_from_disk(str(source))
    else:
        files = [str(source)] if source.is_file() else sorted(map(str, source.glob("*.parquet")))
        table = datasets.load_dataset("parquet", data_files=files, split="train")
    assert isinstance(table, datasets.Dataset)
    for name in (column, *([caption_column] if caption_column else [])):
        if name not in table.column_names:
            raise ValueError(f"{source} has no column {name!r}: choose one of {', '.join(table.column_names)}")
    return PictureTable(table.cast_column(column, datasets.Image(decode=False)), str(source), column, caption_column)


def names_sha256(pictures: Pictures) -> str:
    """Identifies a list of pictures by their names, in order."""
    digest = hashlib.sha256()
    for index in range(len(pictures)):
        digest.update(f"{pictures.name(index)}\n".encode())
    return digest.hexdigest()
