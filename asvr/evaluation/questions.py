"""The questions in a file of records: every answered turn, put alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asvr.data.conversation import IMAGE_MARKER, Conversation
from asvr.data.dataset import Source, load_source


@dataclass(frozen=True)
class Question:
    """What is put to a model, alone.

    Args:
        id: The record's; with `#0`, `#1` and so on where a record has several questions.
        category: The record's.
        images: Names of its pictures in the order of their markers: files relative to the image folder, or SHA-256 of
            their contents.
        text: With one `<image>` per image.
        reference: The right answer.
        item: A benchmark's row, without its pictures; empty for a record.
    """

    id: str
    category: str
    images: tuple[str, ...]
    text: str
    reference: str
    item: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a benchmark with their pictures, checked and ready to be put.

    Args:
        questions: In the order of the table.
        open: Gives the bytes of a picture by its name.
        left_out: Rows that are not part of the benchmark, by reason.
        data: Where the table was read: a folder, or a hub id with its revision.
    """

    questions: tuple[Question, ...]
    open: Callable[[str], bytes]
    left_out: dict[str, int]
    data: str


def read_questions(source: Source, *, limit: int | None = None) -> list[Question]:
    """Reads the questions of a file, in its order.

    Args:
        source: Where they are.
        limit: Only so many, from the beginning; None for all.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a record is broken, no record has a question, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"The limit is {limit}, but at least 1 question must be put. Leave it out to put all.")
    folder = source.images or Path()
    questions = [question for one in load_source(source) for question in _questions(one, folder)]
    if not questions:
        raise ValueError(f"{source.data}: no record has a question with its answer. Give records with `conversations`.")
    return questions[:limit]


def _questions(conversation: Conversation, folder: Path) -> list[Question]:
    turns = conversation.turns
    images = [str(Path(name).relative_to(folder)) for name in conversation.images]
    questions, num_shown = [], 0
    for number, (asked, answered) in enumerate(zip(turns[::2], turns[1::2], strict=True)):
        text, num_shown = _alone(asked.text, num_shown)
        questions.append(
            Question(
                id=conversation.id if len(turns) == 2 else f"{conversation.id}#{number}",
                category=conversation.category,
                images=tuple(images[:num_shown]),
                text=text,
                reference=answered.text,
            )
        )
    return questions


def _alone(text: str, num_shown: int) -> tuple[str, int]:
    """Puts the images of earlier turns in front of a question, and counts those shown by then."""
    earlier = IMAGE_MARKER * num_shown + "\n" if num_shown else ""
    return earlier + text, num_shown + text.count(IMAGE_MARKER)


def make_batches(
    questions: Sequence[Question], lengths: Sequence[int] | Sequence[tuple[int, int]], *, batch_size: int
) -> list[list[int]]:
    """Puts questions about the same pictures, and groups of such questions of similar length, into the same batch.

    Beside each other a picture is read once for all of them. A group counts as long as its longest question.

    Args:
        questions: What is asked.
        lengths: Length of each prompt, in tokens; or a pair that sorts the prompts by length.
        batch_size: Questions in a batch; the last one may have fewer.

    Returns:
        Places in `questions`, each once.

    Raises:
        ValueError: If the batch size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"The batch size is {batch_size}, but a batch takes at least 1 question. Give more.")
    longest: dict[tuple[str, ...], int | tuple[int, int]] = {}
    for question, length in zip(questions, lengths, strict=True):
        longest[question.images] = max(longest.get(question.images, length), length)

    def place(index: int) -> tuple[Any, ...]:
        images, length = questions[index].images, lengths[index]
        # Without a picture there is nothing to share.
        return (longest[images] if images else length, images, length, index)

    order = sorted(range(len(questions)), key=place)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
