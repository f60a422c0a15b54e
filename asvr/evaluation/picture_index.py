"""Pictures by the hash of their bytes, read again from table or file whenever they are opened."""

import hashlib
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from asvr.data.images import UNREADABLE
from asvr.evaluation.table_rows import Rows


class PictureIndex:
    """Reads each picture once to check and name it, and keeps only where it is."""

    def __init__(self) -> None:
        self.reads: dict[str, Callable[[], bytes]] = {}

    def add_cells(self, rows: Rows, number: int, column: str, *, where: str) -> tuple[str, ...]:
        """Adds the pictures in a column of a row; arguments, result and errors are those of `add`."""
        num_pictures = len(rows.cells(number, column))
        return tuple(
            self.add(partial(_read_cell, rows, number, column, place), where=where) for place in range(num_pictures)
        )

    def add(self, read: Callable[[], bytes], *, where: str) -> str:
        """Adds one picture.

        Args:
            read: Gives its bytes, now and whenever it is opened.
            where: The row that shows it, for errors.

        Returns:
            SHA-256 of its bytes, in hex.

        Raises:
            FileNotFoundError: If it is a file that cannot be read.
            ValueError: If it is no picture, as far as the head of the file says.
        """
        try:
            content = read()
        except OSError as error:
            raise FileNotFoundError(
                f"{where}: its picture cannot be read ({error}). Put the file there, or fetch the data set again."
            ) from error
        name = hashlib.sha256(content).hexdigest()
        if name not in self.reads:
            _check_head(content, where)
            self.reads[name] = read
        return name

    def open(self, name: str) -> bytes:
        """Gives the bytes of an added picture."""
        return self.reads[name]()


def _check_head(content: bytes, where: str) -> None:
    try:
        Image.open(BytesIO(content)).close()
    except UNREADABLE as error:
        raise ValueError(
            f"{where}: its picture is no image file ({len(content):,} bytes, beginning with {content[:8]!r}). "
            "Fetch the data set again."
        ) from error


def _read_cell(rows: Rows, number: int, column: str, place: int) -> bytes:
    """Reads a cell as `datasets` writes pictures, bytes or a path, or as text tables name them."""
    cell: Any = rows.cells(number, column)[place]
    if isinstance(cell, bytes):
        return cell
    content, path = (None, cell) if isinstance(cell, str) else (cell["bytes"], cell["path"])
    return (rows.folder / Path(path)).read_bytes() if content is None else content
