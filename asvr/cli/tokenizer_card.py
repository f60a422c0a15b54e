"""`asvr tokenizer card`: whether a visual tokenizer is healthy, and what its codes mean."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from asvr.cli.left_out import tell_left_out


def card(
    tokenizer: Annotated[Path, typer.Argument(help="Folder of the tokenizer.")],
    data: Annotated[
        str, typer.Option(help="Pictures, best others than those it was made of: folder, LLaVA records or data set.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the card.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images of LLaVA records.")] = None,
    max_images: Annotated[int, typer.Option(min=2, help="Use at most this many pictures, spread over all.")] = 1000,
    teacher: Annotated[
        str | None, typer.Option(help="SigLIP checkpoint with its text tower, to measure zero-shot retention.")
    ] = None,
    caption_column: Annotated[str | None, typer.Option(help="Caption column of a data set.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="List pictures that cannot be read and go on.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
) -> None:
    """Say whether a visual tokenizer is healthy, and show what its codes mean: `card.json` and `card.html`."""
    import torch

    from asvr.data.pictures import find_pictures
    from asvr.reports.tokenizer_card import write_card_page
    from asvr.targets.tokenizer import VisualTokenizer
    from asvr.tokenizers.card import CardSettings, make_card

    loaded = VisualTokenizer.from_pretrained(tokenizer).to("cuda" if torch.cuda.is_available() else "cpu")
    skipped: list[str] = []
    found = find_pictures(data, images, caption_column=caption_column, on_skip=skipped.append if skip_bad else None)
    settings = CardSettings(max_images=max_images, workers=workers, skip_bad=skip_bad, teacher=teacher)
    facts = {"tokenizer": str(tokenizer), "data": data, "records_left_out": len(skipped)}
    with Progress() as progress:
        measuring = progress.add_task("pictures", total=min(len(found), max_images))
        made = make_card(
            loaded, found, out, settings=settings, facts=facts, on_picture=lambda: progress.advance(measuring)
        )
    tell_left_out(skipped)
    page = write_card_page(out)
    _show(made)
    Console().print(f"the whole card: {page}", soft_wrap=True)


def _show(card: dict[str, Any]) -> None:
    console = Console()
    table = Table(box=None)
    for heading in ("depth", "codes used", "perplexity", "variance left", "cosine", "same code in bf16"):
        table.add_column(heading, justify="right")
    for depth, figures in enumerate(card["depths"]):
        table.add_row(
            str(depth),
            f"{figures['usage']:.1%}",
            f"{figures['perplexity']:.0f} of {figures['codes']}",
            f"{figures['residual_energy']:.1%}",
            f"{figures['cosine']['mean']:.3f}",
            f"{figures['bf16_agreement']['mean']:.1%}",
        )
    console.print(table)
    if card["pixels"]:
        console.print(f"PSNR {_with_interval(card['pixels']['psnr'], '{:.1f}')} dB", highlight=False)
    if card["pixels"] and card["pixels"]["ssim"]:
        console.print(f"SSIM {_with_interval(card['pixels']['ssim'], '{:.3f}')}", highlight=False)
    if card["zero_shot"]:
        for direction in ("image_to_text", "text_to_image"):
            kept = card["zero_shot"][direction]["retention"]
            words = (
                _with_interval({"mean": kept["ratio"], **kept}, "{:.1%}") if kept else "none, the teacher finds nothing"
            )
            console.print(f"zero-shot retention, {direction.replace('_', ' ')}: {words}", highlight=False)
    if card["left_out"]:
        console.print(f"{card['left_out']} pictures could not be read: see quarantine.txt")
    for caution in card["cautions"]:
        console.print(f"caution: {caution}", highlight=False)
    if card["verdict"]:
        console.print("[bold red]unhealthy[/]")
        for reason in card["verdict"]:
            console.print(f"• {reason}", highlight=False)
    else:
        console.print(f"[bold green]healthy[/], on {card['images']} pictures", highlight=False)


def _with_interval(figure: dict[str, float], form: str) -> str:
    mean, low, high = (form.format(figure[key]) for key in ("mean", "low", "high"))
    return f"{mean} \\[{low}, {high}]"
