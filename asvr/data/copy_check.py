"""What a local copy of a data set holds, and what of it is not as published."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from asvr.data.conversation import read_conversations
from asvr.data.dataset import Source
from asvr.data.images import open_image
from asvr.data.published import Published

PICTURES_AT_ONCE = 1024

ABOUT = 0.05
"""How far, as a share, a copy may be from a number that its source has rounded."""


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        records: Number of records, the broken ones included.
        broken: Why each broken one is.
        pictures: Number of different pictures that the good ones show.
        missing: Names of those without a file, relative to the picture folder.
        unreadable: What is wrong with each file that is no picture; empty if none was opened.
    """

    records: int
    broken: tuple[str, ...]
    pictures: int
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]


def inspect_copy(source: Source, *, decode: bool = True, progress: bool = True) -> Inspection:
    """Reads every record of a source and looks for every picture.

    Args:
        source: Records, and the folder of their pictures.
        decode: Whether to open each picture in full, or only see that there is a file.
        progress: Whether to draw a progress bar.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no record that could be read, or has pictures and no folder is given.
    """
    broken: list[str] = []
    conversations = read_conversations(source.data, skip_bad=True, on_skip=broken.append)
    shown_by: dict[str, str] = {}
    for one in conversations:
        for name in one.images:
            shown_by.setdefault(name, one.id)
    folder = source.images
    if shown_by and folder is None:
        raise ValueError(f"{source.data}: its records have images, but no image folder is given. Name it.")
    missing, unreadable = [], []
    for name, fault in _faults(shown_by, folder or Path(), decode=decode, progress=progress):
        if fault:
            unreadable.append(fault)
        else:
            missing.append(name)
    total = len(conversations) + len(broken)
    return Inspection(total, tuple(broken), len(shown_by), tuple(missing), tuple(unreadable))


def _faults(shown_by: dict[str, str], folder: Path, *, decode: bool, progress: bool) -> Iterator[tuple[str, str]]:
    """Gives each picture that is not as it should be, with what is wrong with its file, or nothing if there is none."""
    names = list(shown_by)
    with ThreadPoolExecutor() as pool, Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("opening pictures" if decode else "looking for pictures", total=len(names))
        for start in range(0, len(names), PICTURES_AT_ONCE):
            part = names[start : start + PICTURES_AT_ONCE]
            found = pool.map(lambda name: _fault(folder / name, shown_by[name], decode=decode), part)
            for name, fault in zip(part, found, strict=True):
                bar.advance(task)
                if fault is not None:
                    yield name, fault


def _fault(path: Path, record: str, *, decode: bool) -> str | None:
    if not path.is_file():
        return ""
    if decode:
        try:
            open_image(path, record=record)
        except ValueError as error:
            return str(error)
    return None


def differences(found: Inspection, source: Source, published: Published | None = None) -> list[str]:
    """Says what is not as it should be, each with its remedy.

    Args:
        found: What the source holds.
        source: Where that is.
        published: What it should hold, if it is a copy of a published data set.
    """
    said = []
    if published is not None:
        off = abs(found.records - published.num_records)
        if off > (ABOUT * published.num_records if published.about else 0):
            said.append(
                f"{source.data} has {found.records:,} records, but {published.title} has "
                f"{'about ' if published.about else ''}{published.num_records:,}: fetch it again"
                + (f" ({published.note})" if published.note else "")
            )
    if found.broken:
        said.append(
            f"{len(found.broken):,} record(s) are broken, the first is {found.broken[0]} Mend them, or train with "
            "--skip-bad"
        )
    if found.missing:
        said.append(
            f"{len(found.missing):,} of {found.pictures:,} pictures are missing below {source.images}, the first is "
            f"{found.missing[0]!r}: fetch them, or train with --skip-bad"
        )
    if found.unreadable:
        said.append(f"{len(found.unreadable):,} picture(s) cannot be read, the first is {found.unreadable[0]}")
    return said
