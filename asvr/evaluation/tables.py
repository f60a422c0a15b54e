"""From a benchmark's data to the questions that are put, every row and picture checked first."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from rich.progress import track

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Benchmark, Item, Pictures, Protocol
from asvr.evaluation.picture_index import PictureIndex
from asvr.evaluation.questions import Question, QuestionSet
from asvr.evaluation.table_files import Located, locate
from asvr.evaluation.table_rows import Rows, first_items, read_rows

log = logging.getLogger(__name__)

Show = Callable[[int, Item], tuple[str, ...]]
"""From a row's number and the row to the names of its pictures."""


def read_benchmark(
    benchmark: Benchmark, *, protocol: str, folder: Path | None, limit: int | None = None, progress: bool = True
) -> QuestionSet:
    """Reads a benchmark's questions. A picture's bytes are read to be hashed, and again when the picture is opened.

    Args:
        benchmark: Which one.
        protocol: Preset by which questions are put.
        folder: The benchmark's own, such as `benchmarks-data/pope`; the hub if it is None or does not exist.
        limit: Only so many questions, from the beginning; None for all.
        progress: Whether to draw a progress bar.

    Returns:
        The questions in the order of the table; pictures are named after the SHA-256 of their bytes.

    Raises:
        FileNotFoundError: If the data or a picture file is missing; the message says how to fetch the data.
        ValueError: If an argument, a row or a picture cannot be used; the message names it.
    """
    if protocol not in benchmark.protocols:
        raise ValueError(f"{benchmark.name}: no preset {protocol!r}. Choose one of {', '.join(benchmark.protocols)}.")
    if limit is not None and limit < 1:
        raise ValueError(f"The limit is {limit}, but at least 1 question must be put. Leave it out to put all.")
    table, located = benchmark.table, locate(benchmark, folder)
    rows = read_rows(located.table, images=table.images, nested=table.nested, cache=located.cache)
    if limit is None and len(rows) != table.num_rows:
        log.warning(f"{rows.label}: has {len(rows):,} rows, but {table.hub} has {table.num_rows:,}.")
    pictures = PictureIndex()
    reader = _Reader(benchmark, benchmark.protocols[protocol], rows, _show(benchmark, located, rows, pictures))
    numbers = range(len(rows))
    for number in track(numbers, description=f"Reading {benchmark.name}", transient=True, disable=not progress):
        if limit is not None and len(reader.questions) == limit:
            break
        reader.read(number)
    if not reader.questions:
        raise ValueError(f"{rows.label}: every row is left out ({dict(reader.left_out)}). Give those of {table.hub}.")
    return QuestionSet(tuple(reader.questions.values()), pictures.open, dict(reader.left_out), located.name)


def _show(benchmark: Benchmark, located: Located, rows: Rows, index: PictureIndex) -> Show:
    """Chooses where the pictures of rows are: in columns, in files that the rows imply, or in a second table."""
    table = benchmark.table
    if table.files is not None:
        files = table.files
        return lambda number, item: tuple(
            index.add((located.folder / name).read_bytes, where=rows.where(number)) for name in files(item)
        )
    if table.pictures is not None:
        return _show_joined(table.pictures, located, rows, index)
    return lambda number, item: tuple(
        name for column in table.images for name in index.add_cells(rows, number, column, where=rows.where(number))
    )


def _show_joined(pictures: Pictures, located: Located, rows: Rows, index: PictureIndex) -> Show:
    others = read_rows(located.pictures, images=("image",), nested=(), cache=located.cache)
    keys = [others.item(number).get(pictures.key) for number in range(len(others))]
    places = {key: number for number, key in enumerate(keys)}
    if None in places or len(places) < len(keys):
        raise ValueError(f"{others.label}: every row must have its own {pictures.key!r}. Fetch the data set again.")

    # The same picture is shown by many rows, and need not be read for each.
    @cache
    def find(key: str) -> tuple[str, ...]:
        return index.add_cells(others, places[key], "image", where=others.where(places[key]))

    def show(number: int, item: Item) -> tuple[str, ...]:
        key = item[pictures.by]
        if key not in places:
            raise ValueError(
                f"{rows.where(number)}: shows the picture {key!r}, but {others.label} has none of that "
                f"{pictures.key!r}. Fetch the data set again."
            )
        return find(key)

    return show


def first_item(benchmark: Benchmark, files: Sequence[Path]) -> Item:
    """Gives the first row that is part of a benchmark, as an example; what only that row takes is read.

    Args:
        benchmark: Which one.
        files: Of its table.

    Raises:
        ValueError: If there is none, or it lacks columns.
    """
    table = benchmark.table
    for number, item in enumerate(first_items(files, images=table.images, nested=table.nested)):
        _check_columns(benchmark, item, f"{files[0]}: row {number} (counted from 0)")
        if not benchmark.leave_out(item):
            return item
    raise ValueError(f"{files[0]}: no row is part of {benchmark.name}. Fetch {table.hub} again.")


def _check_columns(benchmark: Benchmark, item: Item, where: str) -> None:
    missing = [column for column in benchmark.table.columns if column not in item]
    if missing:
        raise ValueError(f"{where}: has no {', '.join(missing)}. Its columns are {', '.join(item)}. Rename them.")


class _Reader:
    """Collects the questions of rows that are checked one by one."""

    def __init__(self, benchmark: Benchmark, protocol: Protocol, rows: Rows, show: Show) -> None:
        self.benchmark, self.protocol, self.rows, self.show = benchmark, protocol, rows, show
        self.questions: dict[str, Question] = {}
        self.left_out: Counter[str] = Counter()

    def read(self, number: int) -> None:
        """Adds the question of a row, or counts why it is none."""
        item, where = self.rows.item(number), self.rows.where(number)
        _check_columns(self.benchmark, item, where)
        reason = self.benchmark.leave_out(item)
        if reason:
            self.left_out[reason] += 1
            return
        question = replace(self._ask(number, item, where), images=self.show(number, item))
        if question.id in self.questions:
            raise ValueError(f"{where}: has the id {question.id!r} of an earlier row. Keep one of the two.")
        num_markers = question.text.count(IMAGE_MARKER)
        if num_markers != len(question.images):
            raise ValueError(
                f"{where}: its prompt shows {num_markers} pictures, but it has {len(question.images)}. Put the picture "
                "there, or leave the row out."
            )
        self.questions[question.id] = question

    def _ask(self, number: int, item: Item, where: str) -> Question:
        try:
            self.benchmark.check(item)
            # A row that cannot be scored stops the run here, not after the answers.
            self.protocol.judge(item, "")
            return Question(
                id=self.benchmark.identify(item, number),
                category=self.benchmark.category(item),
                images=(),
                text=self.protocol.prompt(item),
                reference=self.benchmark.reference(item),
                item=item,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{where}: cannot be put or scored ({error!r}). Mend it or leave it out.") from error
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
