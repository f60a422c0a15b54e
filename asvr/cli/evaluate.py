"""`asvr evaluate`: a saved model's answers to a data file, and their accuracy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from asvr.evaluation.score import Scores


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model, with its processor and chat template.")],
    data: Annotated[Path, typer.Option(help="LLaVA records; every answer in them is the reference of a question.")],
    images: Annotated[Path | None, typer.Option(help="Folder that the image names are relative to.")] = None,
    out: Annotated[
        Path | None, typer.Option(help=r"Folder to write \[default: evaluation/<name of the data> beside the model].")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Questions answered at once.")] = 256,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 16,
    limit: Annotated[int | None, typer.Option(help="Put only the first so many questions.")] = None,
    device: Annotated[str | None, typer.Option(help=r"\[default: cuda if there is one, otherwise cpu].")] = None,
) -> None:
    """Answers every question of a data file and scores the answers; run again, it goes on where it stopped."""
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
