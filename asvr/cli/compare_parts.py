"""What `asvr compare --show` shows: the answers to each benchmark, how they are judged, and where its pictures are."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asvr.evaluation.answer_file import Answer, Header, read_header
from asvr.evaluation.arms import EVALUATION, Arm, seed_folders
from asvr.evaluation.benchmark import Benchmark, Judgement
from asvr.evaluation.benchmark_score import judge_answers
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.differing import Judge
from asvr.evaluation.score import correct, normalise
from asvr.evaluation.suite_arms import Suite, read_arms
from asvr.evaluation.tables import read_benchmark


class Part(NamedTuple):
    """Answers of all arms to one benchmark or file of records.

    Args:
        name: What the page calls it.
        arms: The baseline's first.
        judge: Scores answers.
        open: Gives the bytes of a picture by its name; raises OSError or KeyError where it is not there.
        note: Why there are no pictures; empty if there are.
    """

    name: str
    arms: Sequence[Arm]
    judge: Judge
    open: Callable[[str], bytes]
    note: str


def suite_parts(suite: Suite, *, data_root: Path) -> Iterator[Part]:
    """Gives the parts of compared benchmarks, one at a time.

    Args:
        suite: What is compared.
        data_root: Holds a folder per benchmark; where it does not, pictures come from where evaluation found them.
    """
    for name in suite.results:
        benchmark, header = BENCHMARKS[name], suite.first(name)
        open_picture, note = _pictures(benchmark, header, data_root)
        yield Part(name, read_arms(suite, name), _judge(benchmark, header.protocol), open_picture, note)


def record_part(name: str, arms: Sequence[Arm], *, images: Path) -> Part:
    """Gives the part of answers to a file of records.

    Args:
        name: The evaluation's.
        arms: The baseline's first.
        images: Folder that the image names are relative to.
    """
    note = "" if images.is_dir() else f"{images}: no such folder. Give the one of the images as --data-root."
    return Part(name, arms, judge_records, lambda image: (images / image).read_bytes(), note)


def record_file(run: Path, *, on: str) -> Path:
    """Gives the file of records that a run was evaluated on.

    Args:
        run: Folder of the run, or of its `seed-*` runs.
        on: Name of the evaluation.
    """
    first = next(iter(seed_folders(run).values()))
    return Path(read_header(first / EVALUATION / on).data)


def image_folder(records: Path) -> Path:
    """Guesses where images of records are: in `images` beside their file, as `asvr world` has them, or beside it."""
    beside = records.parent / "images"
    return beside if beside.is_dir() else records.parent


def judge_records(answers: Sequence[Answer]) -> list[Judgement]:
    """Judges answers to records as `asvr evaluate --data` scores them."""
    return [Judgement(float(correct(one.answer, one.reference)), normalise(one.answer)) for one in answers]


def _judge(benchmark: Benchmark, preset: str) -> Judge:
    return lambda answers: [judged.judgement for judged in judge_answers(benchmark, preset, answers)]


def _pictures(benchmark: Benchmark, header: Header, data_root: Path) -> tuple[Callable[[str], bytes], str]:
    """Gives what opens a benchmark's pictures, and why there are none.

    The hub is asked only where evaluation had the data from there, so that nothing large is fetched unawares.
    """
    given = data_root / benchmark.name
    folder = next((place for place in (given, Path(header.data)) if place.is_dir()), None)
    if folder is None and not header.data.startswith(f"{benchmark.table.hub}@"):
        return _nothing, f"{given}: no such folder. Put the data there, or give the folder above it as --data-root."
    try:
        return read_benchmark(benchmark, protocol=header.protocol, folder=folder, limit=header.limit).open, ""
    except (OSError, ValueError) as error:
        return _nothing, str(error)


def _nothing(name: str) -> bytes:
    raise KeyError(name)
