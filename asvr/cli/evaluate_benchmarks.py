"""What `asvr evaluate` does with benchmarks: answers and scores them, or scores what was answered before."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from asvr.evaluation.benchmark_score import BenchmarkScores

ALL = "all"
LONGEST_WAIT = timedelta(days=7)
"""For processes that are done, until the others are; the default of ten minutes ends a run whose shares differ."""


def evaluate_model(
    model: Path,
    benchmarks: str,
    *,
    preset: str,
    data_root: Path,
    out: Path | None,
    limit: int | None,
    batch_size: int,
    dtype: str | None,
    device: str | None,
) -> None:
    """Answers benchmarks with a model and shows the scores; the arguments are those of the command line."""
    import rich
    from accelerate import PartialState

    from asvr.evaluation.suite import Settings, answer_benchmarks

    # A hub id came in as a path: the command line takes either in one place.
    beside = model.resolve().parent / "evaluation" if model.is_dir() else Path("evaluation") / model.name
    settings = Settings(
        model=model.as_posix(),
        benchmarks=choose(benchmarks),
        preset=preset,
        data_root=data_root,
        out=out or beside,
        limit=limit,
        batch_size=batch_size,
        dtype=dtype,
        device=device,
    )
    state = PartialState(cpu=device == "cpu", timeout=LONGEST_WAIT)
    rich.reconfigure(quiet=not state.is_main_process)
    scores = answer_benchmarks(settings, state)
    if state.is_main_process:
        show(scores, title=str(model), folder=settings.out)


def score_answers(
    answers: Path, benchmarks: str | None, *, preset: str | None, data_root: Path, out: Path | None, limit: int | None
) -> None:
    """Scores answers that were written before and shows the scores; the arguments are those of the command line."""
    from asvr.evaluation.given_answers import find_given, find_results, score_given, score_results

    there = find_results(answers)
    if there:
        names = there if benchmarks is None else choose(benchmarks)
        if out is not None or limit is not None:
            raise ValueError(f"{answers}: a results folder is scored as it is. Leave out --out and --limit.")
        show(score_results(answers, names, preset=preset), title=str(answers), folder=answers)
        return
    files = find_given(answers)
    names = list(files) if benchmarks is None else choose(benchmarks)
    missing = [name for name in names if name not in files]
    if missing:
        raise FileNotFoundError(f"{answers}: no {missing[0]}.jsonl. Write it, or do not choose {', '.join(missing)}.")
    folder = out or (answers if answers.is_dir() else answers.parent) / "evaluation"
    chosen = {name: files[name] for name in names}
    scores = score_given(chosen, preset=preset or "paper", data_root=data_root, out=folder, limit=limit)
    show(scores, title=str(answers), folder=folder)


def choose(benchmarks: str) -> tuple[str, ...]:
    """Gives the benchmarks of a comma list, or all, in the paper's order.

    Raises:
        ValueError: If there is none of a name.
    """
    from asvr.evaluation.benchmarks import BENCHMARKS

    if benchmarks == ALL:
        return tuple(BENCHMARKS)
    names = [name.strip() for name in benchmarks.split(",")]
    for name in names:
        if name not in BENCHMARKS:
            raise ValueError(f"There is no benchmark {name!r}. Choose of {', '.join(BENCHMARKS)}, or {ALL}.")
    return tuple(name for name in BENCHMARKS if name in names)


def show(scores: Sequence["BenchmarkScores"], *, title: str, folder: Path) -> None:
    """Prints a table of scores, and below it what it leaves unsaid."""
    console = Console()
    presets = dict.fromkeys(each.protocol for each in scores)
    table = Table(title=escape(title), caption=f"asked and scored by the preset {', '.join(presets)}")
    for column in ("benchmark", "questions", "metric", "%", "also", "empty", "not read"):
        table.add_column(column, justify="right" if column in ("questions", "%", "empty", "not read") else "left")
    for each in scores:
        table.add_row(*_cells(each))
    averages = _averages(scores)
    if averages:
        table.add_section()
        for name, value in averages.items():
            table.add_row("average", "", f"MME as {name}", f"{value:.1f}")
    console.print(table)
    for line in (line for each in scores for line in _remarks(each)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Answers and scores are in {folder}", soft_wrap=True)


def _cells(each: "BenchmarkScores") -> Iterator[str]:
    yield each.benchmark
    yield str(each.num_questions)
    yield each.headline
    yield _number(each.value)
    yield "\n".join(f"{name} {_number(value)}" for name, value in each.metrics.items() if name != each.headline)
    yield str(each.num_empty)
    yield str(each.num_unread)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def _remarks(each: "BenchmarkScores") -> Iterator[str]:
    without = [name for name, value in each.metrics.items() if value is None]
    if without:
        yield f"{each.benchmark}: {', '.join(without)} would be a division by zero: nothing asked or said counts in it."
    for reason, number in each.left_out.items():
        yield f"{each.benchmark}: {number} rows are not part of the benchmark: {reason}."


def _averages(scores: Sequence["BenchmarkScores"]) -> dict[str, float]:
    """Averages all fourteen by each reading of MME; nothing if one is missing or was asked by another preset."""
    from asvr.evaluation.average import average_readings
    from asvr.evaluation.benchmarks import BENCHMARKS

    presets = {each.protocol for each in scores}
    complete = {each.benchmark for each in scores if each.value is not None} == set(BENCHMARKS)
    if len(presets) > 1 or not complete:
        return {}
    return average_readings({each.benchmark: each.metrics for each in scores}, preset=presets.pop())
