"""`asvr evaluate`: a model's answers to benchmarks or to a data file, and their scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from asvr.cli.evaluate_benchmarks import ALL, evaluate_model, score_answers

if TYPE_CHECKING:
    from asvr.evaluation.score import Scores

OF_RECORDS = ("--images", "--max-new-tokens")
OF_BENCHMARKS = ("--benchmarks", "--preset", "--data-root", "--answers", "--dtype")
OF_MODELS = ("--batch-size", "--dtype", "--device")


def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(help="A saved model's folder, with its processor and chat template, or an id on the hub."),
    ] = None,
    benchmarks: Annotated[
        str | None, typer.Option(help=r"Names with commas, or all; `asvr benchmarks` lists them \[default: all].")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help=r"How they are asked and scored: paper, lmms-eval, vlmevalkit \[default: paper].")
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(help=r"A folder per benchmark; what it lacks is fetched \[default: benchmarks-data]."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Score these, without a model: a results folder, or <benchmark>.jsonl of id and answer."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Instead of benchmarks: LLaVA records; every answer in them is a question's reference."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder that the records' image names are relative to.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help=r"Longest answer to a record, in tokens \[default: 16].")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=r"Folder to write \[default: evaluation/ beside the model; of a hub id, evaluation/<name>]."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Put only the first so many questions.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help=r"Questions answered at once \[default: 16; records: 256].")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help=r"float32, bfloat16 or float16 \[default: as the model was saved].")
    ] = None,
    device: Annotated[str | None, typer.Option(help=r"\[default: cuda if there is one, otherwise cpu].")] = None,
) -> None:
    """Answers benchmarks, or every question of a data file, and scores the answers; run again, it goes on.

    Benchmarks on several GPUs: `accelerate launch --multi_gpu -m asvr evaluate MODEL ...`.
    """
    given = {
        "--images": images,
        "--max-new-tokens": max_new_tokens,
        "--benchmarks": benchmarks,
        "--preset": preset,
        "--data-root": data_root,
        "--answers": answers,
        "--batch-size": batch_size,
        "--dtype": dtype,
        "--device": device,
    }
    root = data_root or Path("benchmarks-data")
    if data is not None:
        _refuse(given, OF_BENCHMARKS, "belongs to benchmarks, not to --data")
        _evaluate_records(
            _needed(model),
            data,
            images,
            out=out,
            batch_size=256 if batch_size is None else batch_size,
            max_new_tokens=16 if max_new_tokens is None else max_new_tokens,
            limit=limit,
            device=device,
        )
        return
    _refuse(given, OF_RECORDS, "belongs to --data; a benchmark's preset decides it")
    if answers is not None:
        _refuse({**given, "MODEL": model}, ("MODEL", *OF_MODELS), "is not used with --answers, which are there already")
        score_answers(answers, benchmarks, preset=preset, data_root=root, out=out, limit=limit)
        return
    evaluate_model(
        _needed(model),
        benchmarks or ALL,
        preset=preset or "paper",
        data_root=root,
        out=out,
        limit=limit,
        batch_size=16 if batch_size is None else batch_size,
        dtype=dtype,
        device=device,
    )


def _refuse(given: dict[str, Any], options: tuple[str, ...], reason: str) -> None:
    for option in options:
        if given[option] is not None:
            raise ValueError(f"{option} {reason}. Leave it out.")


def _needed(model: Path | None) -> Path:
    if model is None:
        raise ValueError("Which model? Give its folder or its id on the hub, or answers written before by --answers.")
    return model


def _evaluate_records(
    model: Path,
    data: Path,
    images: Path | None,
    *,
    out: Path | None,
    batch_size: int,
    max_new_tokens: int,
    limit: int | None,
    device: str | None,
) -> None:
    import torch

    from asvr.evaluation.answer import answer_questions
    from asvr.evaluation.score import write_scores

    folder = out or model.resolve().parent / "evaluation" / data.stem
    answer_questions(
        model,
        data,
        images,
        folder,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        limit=limit,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
    )
    console = Console()
    console.print(_table(write_scores(folder), title=f"{model} on {data.stem}"))
    console.print(f"Answers and scores are in {folder}", soft_wrap=True)


def _table(scores: "Scores", *, title: str) -> Table:
    table = Table("kind of question", "questions", "right, %", title=title)
    for category, accuracy in scores.accuracy.items():
        table.add_row(category, str(scores.num_questions[category]), f"{accuracy:.1f}")
    table.add_section()
    num_questions = str(sum(scores.num_questions.values()))
    table.add_row("average of kinds", num_questions, f"{scores.average:.1f}")
    table.add_row("all questions", num_questions, f"{scores.overall:.1f}")
    return table
