"""From a model and the benchmarks' data to folders of answers and scores, interrupted and resumed at will."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import AutoConfig, LlavaConfig

from asvr.evaluation.answer_file import Header
from asvr.evaluation.answering import answer_batches, make_inputs
from asvr.evaluation.benchmark_score import BenchmarkScores, find_protocol, write_benchmark_scores
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.model_folder import find_model
from asvr.evaluation.questions import Question, QuestionSet
from asvr.evaluation.resume import begin_or_resume, hash_model
from asvr.evaluation.shared_pictures import SharedPictures
from asvr.evaluation.suite_task import Task, complete_header, find_pending, is_answered
from asvr.evaluation.tables import read_benchmark

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Of a model's weights, by the names of the command line."""

PACKAGES = ("asvr", "torch", "transformers", "accelerate", "datasets", "pillow")
"""What the header gives the versions of: what reads, prepares and answers."""


@dataclass(frozen=True)
class Settings:
    """What is evaluated, and how.

    Args:
        model: A folder with a saved model, or an id on the hub.
        benchmarks: Their names.
        preset: The protocol's name.
        data_root: Folder with a folder per benchmark.
        out: Folder that gets a folder per benchmark.
        limit: Only the first so many questions of each; None for all.
        batch_size: Questions answered at once.
        dtype: Of the weights, one of `DTYPES`; None keeps the one they were saved in.
        device: Where the model runs; None takes what there is. Of several processes each has its own.

    Raises:
        ValueError: If a name is unknown, or a number below 1.
    """

    model: str
    benchmarks: tuple[str, ...]
    preset: str
    data_root: Path
    out: Path
    limit: int | None = None
    batch_size: int = 16
    dtype: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for name in self.benchmarks:
            find_protocol(name, self.preset)
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"There is no dtype {self.dtype!r}. Choose of {', '.join(DTYPES)}.")
        for what, number in (("batch size", self.batch_size), ("limit", self.limit)):
            if number is not None and number < 1:
                raise ValueError(f"The {what} is {number}, but at least 1 question must be put. Give more.")


def answer_benchmarks(settings: Settings, state: PartialState) -> list[BenchmarkScores]:
    """Answers benchmarks and scores them, going on with what earlier runs have left.

    All data are read, and a prompt of each benchmark is made, before the first question is put. A killed run loses one
    batch of each process at most, and with an equal batch size ends with the same answers as one that was never
    interrupted, by however many processes. Of a benchmark that is complete not even the data are read.

    Args:
        settings: What is evaluated, and how.
        state: The processes; each answers its share of the batches.

    Returns:
        The scores, in the order of `settings.benchmarks`; of the main process only.

    Raises:
        FileNotFoundError: If the model or a data set is missing.
        ValueError: If an argument, the model or the data cannot be used, or a folder holds other answers.
    """
    folder = find_model(settings.model)
    processor = ChatProcessor(folder)
    tasks = _read_tasks(settings, folder, processor, state)
    pending = _begin(tasks, settings, folder, state)
    if any(pending):
        greedy = GreedyModel(folder, device=_device(settings, state), dtype=DTYPES.get(settings.dtype or ""))
        model = SharedPictures(greedy)
        for number, (task, batches) in enumerate(zip(tasks, pending, strict=True), start=1):
            label = f"{task.header.benchmark} ({number} of {len(tasks)}{_parts(state)})"
            share = batches[state.process_index :: state.num_processes]
            answer_batches(task, share, model, processor, label=label, process=state.process_index)
            state.wait_for_everyone()
            if state.is_main_process:
                write_benchmark_scores(task.folder)
    return [write_benchmark_scores(settings.out / name) for name in settings.benchmarks if state.is_main_process]


def _read_tasks(settings: Settings, folder: Path, processor: ChatProcessor, state: PartialState) -> list[Task]:
    """Reads the data of every benchmark that is not complete, and makes one prompt of each."""
    header, tasks = _header(settings, folder, processor, state), []
    for name in settings.benchmarks:
        benchmark, protocol = find_protocol(name, settings.preset)
        out = settings.out / name
        known = replace(header, benchmark=name, max_new_tokens=protocol.max_new_tokens)
        if is_answered(out, known):
            log.info("%s: all questions are answered already", name)
            continue
        data = settings.data_root / name
        # What `datasets` unpacks once is there when the other processes come.
        with state.main_process_first():
            asked = read_benchmark(
                benchmark,
                protocol=settings.preset,
                folder=data,
                limit=settings.limit,
                progress=state.is_main_process,
            )
        _warn_of_special_tokens(name, asked, processor)
        make_inputs(asked.questions[:1], asked, processor)
        tasks.append(Task(out, asked, complete_header(known, benchmark, asked)))
    return tasks


def _header(settings: Settings, folder: Path, processor: ChatProcessor, state: PartialState) -> Header:
    """Says how answers come about, without what the data decide."""
    device = _device(settings, state)
    saved = AutoConfig.from_pretrained(folder).dtype
    return Header(
        model=str(folder.resolve()) if Path(settings.model).is_dir() else settings.model,
        model_hash=hash_model(folder),
        prompt_hash="",
        data="",
        max_new_tokens=0,
        limit=settings.limit,
        num_questions=0,
        versions={name: version(name) for name in PACKAGES},
        protocol=settings.preset,
        chat_template_hash=hashlib.sha256(processor.chat_template.encode()).hexdigest(),
        dtype=settings.dtype or str(saved or "as saved").removeprefix("torch."),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        batch_size=settings.batch_size,
        num_processes=state.num_processes,
    )


def _device(settings: Settings, state: PartialState) -> torch.device:
    if settings.device is not None and state.num_processes == 1:
        return torch.device(settings.device)
    assert state.device is not None
    return state.device


def _parts(state: PartialState) -> str:
    return f", process 1 of {state.num_processes}" if state.num_processes > 1 else ""


def _warn_of_special_tokens(name: str, asked: QuestionSet, processor: ChatProcessor) -> None:
    changed = [question.id for question in asked.questions if processor.defuse(question.text) != question.text]
    if changed:
        log.warning(
            "%s: %d question(s) hold a special token of this tokenizer as text, the first is %r; the model is asked "
            "with a space inside the token",
            name,
            len(changed),
            changed[0],
        )


def _begin(tasks: Sequence[Task], settings: Settings, folder: Path, state: PartialState) -> list[list[list[Question]]]:
    """Writes the headers, and gives the batches of each task that are missing: the same ones in every process."""
    same_size = isinstance(AutoConfig.from_pretrained(folder), LlavaConfig)
    # Nobody may add to a folder that another process is still looking at.
    state.wait_for_everyone()
    if state.is_main_process:
        for task in tasks:
            begin_or_resume(task.folder, task.header)
    state.wait_for_everyone()
    pending = [find_pending(task, batch_size=settings.batch_size, same_size=same_size) for task in tasks]
    state.wait_for_everyone()
    return pending
