"""Where a benchmark's data is: the files of its tables, in a local folder or fetched from the hub."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download

from asvr.data.published import DOWNLOAD
from asvr.evaluation.benchmark import Benchmark, Table

DATA_ROOT = Path("benchmarks-data")
"""Holds a folder per benchmark, if the user names no other."""

PARQUET = ".parquet"
SUFFIXES = (PARQUET, ".jsonl", ".tsv", ".csv")
SPLITS = ("train", "dev", "val", "validation", "test")
"""The table of a data set without configurations may have any other name if it is alone."""


class Located(NamedTuple):
    """A data set on this disk.

    Args:
        folder: Where it is.
        table: The files of its table.
        pictures: The files of the table that holds its pictures; empty if its own does.
        name: What it is, for the record: the absolute folder, or the hub id with its revision.
        cache: Where parquet is unpacked; None for the usual place of `datasets`.
    """

    folder: Path
    table: list[Path]
    pictures: list[Path]
    name: str
    cache: Path | None


def locate(benchmark: Benchmark, folder: Path | None) -> Located:
    """Finds a benchmark's data in its folder or, if there is no such folder, on the hub.

    From the hub only the files of the split are fetched, into its cache; what is there already is not fetched again.

    Args:
        benchmark: Which one.
        folder: Its own, such as `benchmarks-data/pope`; None for the hub.

    Raises:
        FileNotFoundError: If a table is missing; the message says how to fetch it and where to put it.
        ValueError: If several files could be the table.
    """
    wanted = folder or DATA_ROOT / benchmark.name
    if folder is not None and folder.is_dir():
        # Beside the data if possible: it goes when the data goes, and a home folder does not fill unseen.
        cache = folder / ".cache" if os.access(folder, os.W_OK) else None
        return _find_tables(benchmark, folder, wanted, name=str(folder.resolve()), cache=cache)
    try:
        fetched = snapshot_download(benchmark.table.hub, repo_type="dataset", allow_patterns=_patterns(benchmark.table))
    except OSError as error:
        absent = "" if folder is None else f"{folder}: no such folder, and "
        reason = str(error).splitlines()[0].rstrip(".")
        raise FileNotFoundError(
            f"{absent}{benchmark.table.hub} cannot be had from the hub ({reason}). {how_to_fetch(benchmark, wanted)}"
        ) from error
    name = f"{benchmark.table.hub}@{Path(fetched).name}"
    return _find_tables(benchmark, Path(fetched), wanted, name=name, cache=None)


def is_there(benchmark: Benchmark, folder: Path) -> bool:
    """Says whether a folder has a benchmark's tables; errors are those of `find_files`."""
    table = benchmark.table
    places = [(table.config, table.split)]
    places += [(table.pictures.config, table.pictures.split)] if table.pictures else []
    return all(find_files(folder, *place) for place in places)


def how_to_fetch(benchmark: Benchmark, folder: Path) -> str:
    """Says what to fetch, how large it is, where to put it, and the command that does so."""
    table = benchmark.table
    split = f"{table.config}, split {table.split}" if table.config else f"split {table.split}"
    return (
        f"Fetch {table.hub} ({split}; {table.num_rows:,} rows, {table.size}) where there is a network, and put it into "
        f"{folder}: {fetch_command(benchmark, folder)}"
    )


def fetch_command(benchmark: Benchmark, folder: Path) -> str:
    """Gives the shell command that fetches a benchmark's files from the hub into a folder."""
    patterns = [word for pattern in _patterns(benchmark.table) or () for word in ("--include", pattern)]
    return f"{DOWNLOAD} {shlex.join([benchmark.table.hub, *patterns, '--local-dir', str(folder)])}"


def find_files(folder: Path, config: str | None, split: str) -> list[Path]:
    """Finds the files of a table.

    They are in `folder`, in a folder inside that is named after the configuration, or in a folder `data` of either.
    Their names begin with the configuration's or the split's: `test.jsonl`, `test-00000-of-00003.parquet`.

    Returns:
        Shards of parquet, or one file of another kind; nothing if there is none.

    Raises:
        ValueError: If there are tables of several kinds, or several files of a kind other than parquet.
    """
    above = folder / config if config and (folder / config).is_dir() else folder
    files = [path for place in (above, above / "data") for path in _tables_in(place)]
    found = (_named(files, config) if config else []) or _named(files, split)
    if not found and config is None and len(files) == 1 and not any(_named(files, other) for other in SPLITS):
        found = files
    if len(found) > 1 and {path.suffix for path in found} != {PARQUET}:
        names = ", ".join(path.relative_to(above).as_posix() for path in found)
        raise ValueError(
            f"{above}: {names} could each be the table, which must be one file or several of parquet. Take the others "
            "away."
        )
    return found


def _find_tables(benchmark: Benchmark, folder: Path, wanted: Path, *, name: str, cache: Path | None) -> Located:
    table, pictures = benchmark.table, benchmark.table.pictures
    files = _find(benchmark, folder, wanted, table.config, table.split)
    others = _find(benchmark, folder, wanted, pictures.config, pictures.split) if pictures else []
    return Located(folder, files, others, name, cache)


def _find(benchmark: Benchmark, folder: Path, wanted: Path, config: str | None, split: str) -> list[Path]:
    found = find_files(folder, config, split)
    if not found:
        tables = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in SUFFIXES)
        missing = f"{config}, split {split!r}" if config else f"split {split!r}"
        raise FileNotFoundError(
            f"{folder}: no file is the table of {missing}; there {'are' if len(tables) > 1 else 'is'} "
            f"{', '.join(tables[:5]) or 'none'}. {how_to_fetch(benchmark, wanted)}"
        )
    return found


def _patterns(table: Table) -> list[str] | None:
    """Names the files of the splits on the hub, as `push_to_hub` writes them; None for all files."""
    if table.files is not None:
        return None
    tables = [(table.config, table.split)]
    tables += [(table.pictures.config, table.pictures.split)] if table.pictures else []
    return [f"{config}/{split}-*.parquet" if config else f"*{split}-*.parquet" for config, split in tables]


def _tables_in(folder: Path) -> Iterator[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return (path for path in paths if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."))


def _named(files: Sequence[Path], name: str) -> list[Path]:
    return [path for path in files if path.stem == name or path.name.startswith(f"{name}-")]
