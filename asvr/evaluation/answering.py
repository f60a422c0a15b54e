"""Batches of a benchmark's questions, answered and written one after another while the next one is prepared."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as Bar
from rich.text import Text
from torch import Tensor

from asvr.data.images import open_image
from asvr.evaluation.answer_file import Answer, append_answers, read_answers
from asvr.evaluation.chat_pictures import PROCESSORS, ChatPictures
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.questions import Question, QuestionSet
from asvr.evaluation.shared_pictures import SharedPictures
from asvr.evaluation.suite_task import Task

Batch = Sequence[Question]
Prepared = TypeVar("Prepared")


def answer_batches(
    task: Task,
    batches: Sequence[Batch],
    model: SharedPictures,
    processor: ChatProcessor,
    *,
    label: str,
    process: int = 0,
) -> None:
    """Answers one process's share of a benchmark's batches; the first process shows how far it is.

    Args:
        task: Begun.
        batches: Those of this process. Answers that are there already are not written again.
        model: Answers.
        processor: The model's.
        label: What the progress bar calls the benchmark.
        process: Number of this process, from 0.

    Raises:
        ValueError: If a picture cannot be read, or template or processor refuse a question.
    """
    answered = {answer.id for answer in read_answers(task.folder)}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, disable=process > 0) as progress:
        bar = progress.add_task(f"Answering {label}", total=sum(map(len, batches)))
        model.forget()
        prepare, answer = _choose(task.asked, model, processor)
        for batch, prepared in _prepare_ahead(batches, prepare):
            said = answer(prepared, max_new_tokens=task.header.max_new_tokens)
            answers = [Answer.to(question, processor.decode(ids)) for question, ids in zip(batch, said, strict=True)]
            append_answers(task.folder, [answer for answer in answers if answer.id not in answered], process=process)
            progress.advance(bar, len(batch))


def make_inputs(batch: Batch, asked: QuestionSet, processor: ChatProcessor) -> dict[str, Tensor]:
    """Makes the model's inputs of some questions.

    Args:
        batch: Of `asked`.
        asked: Has the pictures.
        processor: The model's.

    Raises:
        ValueError: As `answer_batches`.
    """
    pictures = [[open_image(BytesIO(asked.open(name)), record=one.id) for name in one.images] for one in batch]
    return processor([question.text for question in batch], pictures)


def _choose(asked: QuestionSet, model: SharedPictures, processor: ChatProcessor) -> tuple[Callable, Callable]:
    """Gives what prepares a batch and what answers it: each picture once where the model's family allows that."""
    if model.shares and isinstance(processor.processor, PROCESSORS):
        return ChatPictures(processor, asked), model
    return partial(make_inputs, asked=asked, processor=processor), model.greedy


def _prepare_ahead(batches: Sequence[Batch], prepare: Callable[[Batch], Prepared]) -> Iterator[tuple[Batch, Prepared]]:
    """Prepares the pictures of the next batch while the model answers this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = [pool.submit(prepare, batch) for batch in batches[:1]]
        for place, batch in enumerate(batches):
            prepared = coming.pop().result()
            coming = [pool.submit(prepare, after) for after in batches[place + 1 : place + 2]]
            yield batch, prepared


class _Speed(ProgressColumn):
    def render(self, task: Bar) -> Text:
        return Text(f"{task.completed / task.elapsed if task.elapsed else 0:.1f} answers/s")
