"""Answers that were written before, here or elsewhere, scored without a model."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from asvr.evaluation.answer_file import HEADER, Answer, Header, append_answers, read_header
from asvr.evaluation.benchmark_score import BenchmarkScores, find_protocol, write_benchmark_scores
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.questions import QuestionSet
from asvr.evaluation.resume import begin_or_resume, hash_files
from asvr.evaluation.suite_task import complete_header
from asvr.evaluation.tables import read_benchmark

NAMED = 3
"""How many ids an error names."""


def find_results(folder: Path) -> list[str]:
    """Names the benchmarks that a results folder of ours has answers to, in the paper's order; none for another one."""
    return [name for name in BENCHMARKS if (folder / name / HEADER).is_file()]


def score_results(folder: Path, names: Sequence[str], *, preset: str | None = None) -> list[BenchmarkScores]:
    """Scores answers that `asvr evaluate` has kept; neither model nor data are needed.

    Args:
        folder: With a folder per benchmark.
        names: The benchmarks.
        preset: The protocol by which they must have been asked; None takes whichever it was.

    Raises:
        FileNotFoundError: If a benchmark is not there.
        ValueError: If answers are missing or broken, or were asked by another protocol.
    """
    for name in names:
        asked = read_header(folder / name).protocol
        if preset is not None and preset != asked:
            raise ValueError(
                f"{folder / name}: was asked by the preset {asked!r}, whose prompts belong to its scores, so it is not "
                f"scored by {preset!r}. Leave the preset out, or evaluate the model by the other one."
            )
    return [write_benchmark_scores(folder / name) for name in names]


def find_given(path: Path) -> dict[str, Path]:
    """Finds the files of answers written elsewhere, by benchmark: a file `<benchmark>.jsonl`, or those of a folder.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a file is not called like a benchmark.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise FileNotFoundError(
            f"{path}: no answers here. Give a results folder of `asvr evaluate`, a file `<benchmark>.jsonl` with an "
            'object {"id": ..., "answer": ...} per line, or a folder of such files.'
        )
    for file in files:
        if file.stem not in BENCHMARKS:
            raise ValueError(f"{file}: must be called like the benchmark it answers: one of {', '.join(BENCHMARKS)}.")
    found = {file.stem: file for file in files}
    return {name: found[name] for name in BENCHMARKS if name in found}


def score_given(
    files: dict[str, Path], *, preset: str, data_root: Path, out: Path, limit: int | None = None
) -> list[BenchmarkScores]:
    """Scores answers that were written elsewhere, and keeps them in a results folder like our own.

    The preset is taken at its word: whoever gives the answers says that they were asked so. All files are read and
    joined to their questions before the first is written.

    Args:
        files: With lines of an id and an answer, by benchmark.
        preset: The protocol by which the model was asked.
        data_root: Folder with a folder per benchmark.
        out: Folder that gets a folder per benchmark.
        limit: Only the first so many questions of each; None for all.

    Returns:
        The scores in the order of `files`.

    Raises:
        FileNotFoundError: If a data set is missing.
        ValueError: If a line is no answer, or the answers are not one for each question.
    """
    made = []
    for name, path in files.items():
        benchmark, _ = find_protocol(name, preset)
        given = list(_read_given(path))
        asked = read_benchmark(benchmark, protocol=preset, folder=data_root / name, limit=limit)
        answers = _join(path, asked, given)
        made.append((out / name, complete_header(_header(path, preset, limit), benchmark, asked), answers))
    for folder, header, answers in made:
        _write(folder, header, answers)
    return [write_benchmark_scores(folder) for folder, _, _ in made]


def _header(path: Path, preset: str, limit: int | None) -> Header:
    return Header(
        model=str(path.resolve()),
        model_hash=hash_files([path]),
        prompt_hash="",
        data="",
        max_new_tokens=0,
        limit=limit,
        num_questions=0,
        versions={"asvr": version("asvr")},
        protocol=preset,
    )


def _read_given(path: Path) -> Iterator[tuple[str, str]]:
    # Not splitlines: U+2028 may stand inside an answer.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error}). Mend it.") from error
        is_answer = isinstance(record, dict) and isinstance(record.get("id"), str | int)
        if not is_answer or not isinstance(record.get("answer"), str):
            raise ValueError(
                f'{path}: line {number} must be an object with an "id" and a text "answer", but is {line[:80]!r}. '
                "Write one such line for each question."
            )
        yield str(record["id"]), record["answer"]


def _join(path: Path, asked: QuestionSet, given: Sequence[tuple[str, str]]) -> list[Answer]:
    said, ids = dict(given), [question.id for question in asked.questions]
    faults = [
        *_count("answered twice", [name for name, number in Counter(name for name, _ in given).items() if number > 1]),
        *_count("not answered", [name for name in ids if name not in said]),
        *_count("unknown", sorted(said.keys() - set(ids))),
    ]
    if faults:
        raise ValueError(
            f"{path}: there must be one answer for each of the {len(ids)} questions of {asked.data}, but of the ids "
            f"{'; '.join(faults)}. An id looks like {ids[0]!r}."
        )
    return [Answer.to(question, said[question.id]) for question in asked.questions]


def _count(fault: str, ids: Collection[str]) -> Iterator[str]:
    if ids:
        more = ", ..." if len(ids) > NAMED else ""
        yield f"{len(ids)} are {fault} ({', '.join(repr(name) for name in list(ids)[:NAMED])}{more})"


def _write(folder: Path, header: Header, answers: Sequence[Answer]) -> None:
    answered = begin_or_resume(folder, header)
    append_answers(folder, [answer for answer in answers if answer.id not in answered])
