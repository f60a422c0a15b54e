"""A folder of a model's answers: `answers.jsonl` with a line per question, and `answers.meta.json`, its header.

Where several processes answer, each writes a file of its own: the first `answers.jsonl`, the others `answers-1.jsonl`
and so on. Together they are the answers.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asvr.evaluation.questions import Question

STEM = "answers"
ANSWERS = f"{STEM}.jsonl"
HEADER = "answers.meta.json"


@dataclass(frozen=True)
class Answer:
    """One question with what a model said and what it should have said.

    Args:
        id: Unique in its file.
        category: Kind of question; empty if the data names none.
        images: Names of the pictures it is about: files relative to the image folder, or SHA-256 of their contents.
        question: What was put to the model, with `<image>` where a picture was shown.
        answer: The model's words, without its end token, otherwise as generated.
        reference: The right answer.
        item: A benchmark's row, from which the answer is scored; empty where the reference is enough.
    """

    id: str
    category: str
    images: tuple[str, ...]
    question: str
    answer: str
    reference: str
    item: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def to(cls, question: Question, answer: str) -> "Answer":
        """Notes what was said to a question."""
        return cls(
            id=question.id,
            category=question.category,
            images=question.images,
            question=question.text,
            answer=answer,
            reference=question.reference,
            item=question.item,
        )


@dataclass(frozen=True)
class Header:
    """How a file of answers came about.

    Args:
        model: Folder of the model, absolute.
        model_hash: SHA-256 of the model folder's files.
        prompt_hash: SHA-256 of what decides the questions: chat template, data file and longest answer. Answers can be
            compared only if it is the same.
        data: The file of records, absolute.
        max_new_tokens: Longest answer, in tokens.
        limit: How many of the first questions were put; None for all.
        num_questions: How many answers a complete file has.
        versions: Versions of the software, by name.
        benchmark: Name of the benchmark; empty for a file of records.
        protocol: Preset by which it was put; empty for a file of records.
        left_out: Rows of the data that are not part of the benchmark, by reason.
        chat_template_hash: SHA-256 of the chat template; empty for a file of records, whose prompt hash has it, and for
            answers that were written elsewhere.
        dtype: Of the model's weights; empty for a file of records.
        device: Where the model ran, by its name; empty for a file of records.
        batch_size: Questions answered at once; 0 for a file of records.
        num_processes: Processes that answered side by side when the first answer was written.
    """

    model: str
    model_hash: str
    prompt_hash: str
    data: str
    max_new_tokens: int
    limit: int | None
    num_questions: int
    versions: dict[str, str]
    benchmark: str = ""
    protocol: str = ""
    left_out: dict[str, int] = field(default_factory=dict)
    chat_template_hash: str = ""
    dtype: str = ""
    device: str = ""
    batch_size: int = 0
    num_processes: int = 1


def write_header(folder: Path, header: Header) -> None:
    """Writes the header of a new file of answers, making the folder if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{HEADER}.partial"
    partial.write_text(json.dumps(asdict(header), indent=2) + "\n", encoding="utf-8")
    # All of it or none, whenever the process is killed.
    partial.replace(folder / HEADER)


def read_header(folder: Path) -> Header:
    """Reads the header.

    Raises:
        FileNotFoundError: If the folder has none.
        ValueError: If it is not such a header.
    """
    path = folder / HEADER
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Make the answers with `asvr evaluate`.")
    try:
        return Header(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path}: not a header of answers ({error}). Delete {folder} and evaluate again.") from error


def append_answers(folder: Path, answers: Iterable[Answer], *, process: int = 0) -> None:
    """Adds lines at the end of a process's file, which is then closed: a process killed later loses none of them."""
    name = f"{STEM}-{process}.jsonl" if process else ANSWERS
    with open(folder / name, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)


def drop_torn_lines(folder: Path) -> None:
    """Cuts off what follows the last line break of each file: the line that a killed process was writing."""
    for path in _files(folder):
        whole = path.read_bytes().rfind(b"\n") + 1
        if whole < path.stat().st_size:
            os.truncate(path, whole)


def read_answers(folder: Path) -> tuple[Answer, ...]:
    """Reads the answers that are there, which may be fewer than the header promises; a folder without any gives none.

    Raises:
        ValueError: If a line is not an answer, or two lines answer the same question.
    """
    answers = tuple(answer for path in _files(folder) for answer in _read_file(path))
    if len({answer.id for answer in answers}) < len(answers):
        raise ValueError(f"{folder / ANSWERS}: answers a question twice. Delete {folder} and evaluate again.")
    return answers


def _files(folder: Path) -> list[Path]:
    """Finds the answers of every process, in the order of the processes."""
    others = sorted(folder.glob(f"{STEM}-*.jsonl"), key=lambda path: (len(path.name), path.name))
    return [path for path in (folder / ANSWERS, *others) if path.is_file()]


def _read_file(path: Path) -> Iterator[Answer]:
    # Not splitlines: U+2028 may stand inside an answer.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    yield from (_parse(path, number, line) for number, line in enumerate(lines, start=1))


def read_complete(folder: Path) -> tuple[Header, tuple[Answer, ...]]:
    """Reads header and answers of a finished evaluation.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file is broken or answers are missing.
    """
    header, answers = read_header(folder), read_answers(folder)
    if len(answers) != header.num_questions:
        raise ValueError(
            f"{folder}: {len(answers)} of {header.num_questions} questions are answered. "
            "Run the same `asvr evaluate` again; it goes on where it stopped."
        )
    return header, answers


def _parse(path: Path, number: int, line: str) -> Answer:
    try:
        record: dict[str, Any] = json.loads(line)
        return Answer(**{**record, "images": tuple(record["images"])})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: line {number} is not an answer ({error!r}). Delete {path.parent} and evaluate again."
        ) from error
