"""What a benchmark is: a table, and the protocols by which its questions are put and their answers scored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Item = Mapping[str, Any]
"""A row of a data set by its own column names, without its pictures: all that a prompt and a score need to know."""

Ratios = Mapping[str, Float[np.ndarray, "..."]]
"""Ratios of sums, from 0 to 1, by name; one number each, or one for every resample. NaN where nothing was counted."""


class Judgement(NamedTuple):
    """What one answer is worth.

    Args:
        score: From 0 (wrong) to 1 (right).
        extracted: What the rule read from the answer, in its normal form; empty if it could read nothing.
    """

    score: float
    extracted: str


class Judged(NamedTuple):
    """One answered question with its judgement.

    Args:
        id: The question's.
        item: Its row.
        images: Names of the pictures shown.
        category: Kind of question; empty if the data set names none.
        judgement: Of the answer.
    """

    id: str
    item: Item
    images: tuple[str, ...]
    category: str
    judgement: Judgement


class Mark(NamedTuple):
    """What is added to one ratio: `value` to the sum above the line, `count` to the sum below it.

    Args:
        ratio: Name of the ratio, such as "accuracy".
        group: What is drawn together in a bootstrap, such as all questions about one picture.
        value: Between 0 and `count`.
        count: How much it weighs.
    """

    ratio: str
    group: str
    value: float
    count: float = 1.0


ACCURACY = "accuracy"
"""The ratio that `mark_each` counts every question in."""


def mark_each(judged: Sequence[Judged]) -> Iterable[Mark]:
    """Marks each question alone, in `accuracy` and in its category; questions about the same pictures are a group."""
    for each in judged:
        yield Mark(ACCURACY, picture_group(each), each.judgement.score)
        if each.category:
            yield Mark(each.category, picture_group(each), each.judgement.score)


def picture_group(judged: Judged) -> str:
    """Names the group of all questions about the same pictures; a question about none is a group by itself."""
    return " ".join(judged.images) or judged.id


def percent(ratio: str) -> Callable[[Ratios], Float[np.ndarray, "..."]]:
    """Gives the metric that is a ratio in percent."""
    return lambda ratios: 100 * ratios[ratio]


@dataclass(frozen=True)
class Protocol:
    """How questions are put and answers scored: the same data set has several that disagree.

    Args:
        prompt: The user message of a row, with `<image>` where each picture is shown.
        judge: Scores an answer, given as the model wrote it; white space at its ends never matters.
        headline: The metric that enters the average.
        metrics: From ratios to a number in percent, by name. A metric that needs a ratio without questions is NaN.
        mark: What judged questions add to which ratios; it sees all of them, since some scores take several.
        max_new_tokens: Longest answer, in tokens.
        note: What a reader of the result must know, such as another reading of the same paper.
    """

    prompt: Callable[[Item], str]
    judge: Callable[[Item, str], Judgement]
    headline: str = ACCURACY
    metrics: Mapping[str, Callable[[Ratios], Float[np.ndarray, "..."]]] = field(
        default_factory=lambda: {ACCURACY: percent(ACCURACY)}
    )
    mark: Callable[[Sequence[Judged]], Iterable[Mark]] = mark_each
    max_new_tokens: int = 512
    note: str = ""


@dataclass(frozen=True)
class Pictures:
    """A second table that holds the pictures of a first.

    Args:
        config: Its configuration on the hub.
        split: Its split.
        key: The column that names a picture; the picture itself is in `image`.
        by: The column of the first table that says which picture is shown.
    """

    config: str
    split: str
    key: str
    by: str


@dataclass(frozen=True)
class Table:
    """A data set: where it is, and what must be in it.

    Args:
        hub: Its id on the Hugging Face hub.
        split: The split that is evaluated.
        num_rows: Rows of the split; another number is a warning, not an error.
        size: Of the download, in words, such as "1.1 GB".
        columns: Columns that every row must have, beside the pictures.
        config: Configuration on the hub; None if it has only one.
        images: Columns whose pictures are shown, in order; a column that is missing or empty in a row shows none.
        pictures: The table that holds the pictures, if it is another one; `images` is then empty.
        files: Gives a row's picture files, relative to the data set's folder, where the table names none.
        nested: Columns that hold lists or structures; in a TSV or CSV file their cells are JSON.
    """

    hub: str
    split: str
    num_rows: int
    size: str
    columns: tuple[str, ...]
    config: str | None = None
    images: tuple[str, ...] = ("image",)
    pictures: Pictures | None = None
    files: Callable[[Item], tuple[str, ...]] | None = None
    nested: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """One of the fourteen, as plain functions, so that answers can be scored again without a model or the pictures.

    Args:
        name: What the command line and folders call it.
        column: What the paper's tables call it.
        table: Its data.
        identify: A row's id, from the row and its number in the table, beginning with 0; unique.
        reference: The right answer of a row in words, for readers.
        protocols: By preset: "paper", "lmms-eval" and "vlmevalkit". Equal ones are the same object.
        source: Where prompt and metric come from, with versions.
        category: A row's kind; empty if there are none.
        leave_out: Why a row of the table is not part of the benchmark; empty if it is. Such rows are counted.
        check: Raises ValueError if a row cannot be asked or scored, such as one without options.
    """

    name: str
    column: str
    table: Table
    identify: Callable[[Item, int], str]
    reference: Callable[[Item], str]
    protocols: Mapping[str, Protocol]
    source: str
    category: Callable[[Item], str] = lambda item: ""
    leave_out: Callable[[Item], str] = lambda item: ""
    check: Callable[[Item], None] = lambda item: None
