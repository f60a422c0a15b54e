"""One benchmark put to one model: what its answers rest on, and which batches of them are still missing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from asvr.evaluation.answer_file import HEADER, Header, read_answers, read_header
from asvr.evaluation.benchmark import Benchmark
from asvr.evaluation.questions import Question, QuestionSet, make_batches
from asvr.evaluation.resume import check_same

FROM_DATA = ("prompt_hash", "data", "num_questions", "left_out")
"""Fields of a header that are known once the data have been read."""


@dataclass(frozen=True)
class Task:
    """A benchmark that a model is to answer.

    Args:
        folder: Where the answers are.
        asked: The questions.
        header: Of the answers.
    """

    folder: Path
    asked: QuestionSet
    header: Header


def complete_header(header: Header, benchmark: Benchmark, asked: QuestionSet) -> Header:
    """Adds to a header what the data decide.

    Args:
        header: With the name of the preset.
        benchmark: Which.
        asked: Its questions.
    """
    return replace(
        header,
        benchmark=benchmark.name,
        max_new_tokens=benchmark.protocols[header.protocol].max_new_tokens,
        prompt_hash=hash_prompts(benchmark, header.protocol, asked.questions),
        data=asked.data,
        num_questions=len(asked.questions),
        left_out=asked.left_out,
    )


def hash_prompts(benchmark: Benchmark, preset: str, questions: Sequence[Question]) -> str:
    """Hashes what decides a benchmark's answers beside the model and its chat template.

    That is the benchmark, the preset, every question with its text and pictures in their order, and the longest answer.
    """
    digest = hashlib.sha256()
    longest = benchmark.protocols[preset].max_new_tokens
    about = [[benchmark.name, preset, longest], *([one.id, one.text, *one.images] for one in questions)]
    for line in about:
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()


def is_answered(folder: Path, header: Header) -> bool:
    """Says whether a folder holds every answer already, as far as that can be known without the data.

    Args:
        folder: Of one benchmark's answers; it need not exist.
        header: Without what the data decide.

    Raises:
        ValueError: If it holds answers that came about otherwise.
    """
    if not (folder / HEADER).is_file():
        return False
    check_same(folder, header, ignored=FROM_DATA)
    return len(read_answers(folder)) == read_header(folder).num_questions


def find_pending(task: Task, *, batch_size: int, same_size: bool) -> list[list[Question]]:
    """Gives the batches in which a question is still to be answered.

    Args:
        task: Begun.
        batch_size: Questions answered at once.
        same_size: Whether the model sees every picture as equally many visual tokens; otherwise questions about
            pictures of similar area share a batch.
    """
    questions = task.asked.questions
    names = {name for question in questions for name in question.images}
    areas = {name: 0 if same_size else _area(task.asked.open(name)) for name in names}
    lengths = [(sum(areas[name] for name in one.images), len(one.text)) for one in questions]
    answered = {answer.id for answer in read_answers(task.folder)}
    batches = make_batches(questions, lengths, batch_size=batch_size)
    # A batch is answered whole even if some of it is done: other padding would change the last digits of the logits.
    return [
        [questions[index] for index in batch]
        for batch in batches
        if any(questions[index].id not in answered for index in batch)
    ]


def _area(content: bytes) -> int:
    with Image.open(BytesIO(content)) as picture:
        return picture.width * picture.height
