"""When answers may be added to those of an earlier run: only if they came about in the same way."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

import torch
import transformers

from asvr import __version__
from asvr.evaluation.answer_file import HEADER, Header, drop_torn_lines, read_answers, read_header, write_header

NOTED = ("device", "batch_size", "num_processes")
"""What a header notes of the first run, but a later one may have otherwise: it moves last digits, not the question."""


def make_header(
    model_folder: Path, data: Path, *, chat_template: str, max_new_tokens: int, limit: int | None, num_questions: int
) -> Header:
    """Says how answers come about; the arguments are those of `answer_questions`.

    Raises:
        ValueError: If the longest answer has no token.
    """
    if max_new_tokens < 1:
        raise ValueError(f"The longest answer is {max_new_tokens} tokens, but must have at least 1. Give more.")
    prompt = {"chat_template": chat_template, "data": hash_files([data]), "max_new_tokens": max_new_tokens}
    return Header(
        model=str(model_folder.resolve()),
        model_hash=hash_model(model_folder),
        prompt_hash=hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest(),
        data=str(data.resolve()),
        max_new_tokens=max_new_tokens,
        limit=limit,
        num_questions=num_questions,
        versions={"asvr": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
    )


def begin_or_resume(folder: Path, header: Header) -> set[str]:
    """Starts a folder of answers, or gives the ids of the questions already answered in it.

    Raises:
        ValueError: If the folder's answers came about in another way; the message says what differs.
    """
    if not (folder / HEADER).is_file():
        write_header(folder, header)
    check_same(folder, header)
    drop_torn_lines(folder)
    return {answer.id for answer in read_answers(folder)}


def check_same(folder: Path, header: Header, *, ignored: Collection[str] = ()) -> None:
    """Refuses a folder whose answers came about in another way than a header says.

    Args:
        folder: It has a header.
        header: How its answers should have come about.
        ignored: Fields that may differ, beside those of `NOTED`.

    Raises:
        ValueError: Saying what differs.
    """
    earlier, wanted = asdict(read_header(folder)), asdict(header)
    differing = [
        f"{key} was {earlier[key]!r} and is {wanted[key]!r}"
        for key in wanted
        if key not in {*NOTED, *ignored} and earlier[key] != wanted[key]
    ]
    if differing:
        raise ValueError(
            f"{folder}: holds answers that came about otherwise: {'; '.join(differing)}. Delete that folder, or write "
            "to another one."
        )


def hash_model(folder: Path) -> str:
    """Hashes all files of a model's folder, weights and processor, but none in folders below it."""
    return hash_files(sorted(path for path in folder.iterdir() if path.is_file()))


def hash_files(paths: Iterable[Path]) -> str:
    """Hashes contents, not names: the same file elsewhere is the same. A block at a time, since weights are large."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.stat().st_size).encode() + b"\n")
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
