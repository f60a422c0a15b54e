"""`asvr tokenizer fit`: a visual tokenizer for any features, from pictures alone."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from asvr.cli.left_out import tell_left_out

if TYPE_CHECKING:
    from asvr.targets.sources import Spec


def fit(
    data: Annotated[str, typer.Option(help="Folder of pictures, LLaVA records, parquet, or a data set on the hub.")],
    out: Annotated[Path, typer.Option(help="Folder of the new tokenizer; the same command continues a fit.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images of LLaVA records.")] = None,
    column: Annotated[str, typer.Option(help="Picture column of a table.")] = "image",
    features: Annotated[
        str | None, typer.Option(help="What is quantised: siglip, siglip2, dinov3, ...; without it those of --tower.")
    ] = None,
    tower: Annotated[
        str | None, typer.Option(help="Checkpoint to take: hub name or folder; embedded:tower is the demo's.")
    ] = None,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Quantise the tower's pixel patches, not its features.")
    ] = False,
    layer: Annotated[
        list[int] | None,
        typer.Option(help="Which of the tower's hidden states; -2 is the paper's. Several are joined."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize pictures to a square of so many pixels, without cropping.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(help="ROWSxCOLUMNS of the codes, if not those of the features; such as 27x27.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="Project features to their first principal components before quantising.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Codes per visual token; the paper has 8.")] = 8,
    codes: Annotated[int, typer.Option(min=2, max=65_536, help="Code vectors per depth; the paper has 16384.")] = 1024,
    shared: Annotated[bool, typer.Option("--shared", help="One codebook for all depths.")] = False,
    iterations: Annotated[int, typer.Option(min=1, help="Passes of k-means per codebook.")] = 20,
    passes: Annotated[
        int, typer.Option(min=0, help="Passes over every visual token of every picture after k-means.")
    ] = 0,
    max_images: Annotated[int, typer.Option(min=1, help="Use at most this many images, drawn from all.")] = 20_000,
    max_vectors: Annotated[
        int, typer.Option(min=1, help="Run k-means on at most this many visual tokens, drawn from all images.")
    ] = 500_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal codebooks.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Data worker processes, per process.")] = 0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="List what cannot be read, instead of stopping.")
    ] = False,
) -> None:
    """Fit the codebooks of a residual quantiser; under torchrun, the processes share the work."""
    from asvr.cli.targets import parse_grid
    from asvr.data.pictures import find_pictures
    from asvr.tokenizers.fit import QUARANTINE, fit_tokenizer
    from asvr.tokenizers.ranks import Ranks
    from asvr.tokenizers.settings import FitSettings

    settings = FitSettings(
        depth=depth,
        num_codes=codes,
        shared=shared,
        width=width,
        grid=parse_grid(grid) if grid else None,
        max_pictures=max_images,
        max_vectors=max_vectors,
        iterations=iterations,
        passes=passes,
        seed=seed,
        data=data,
    )
    left_out: list[str] = []
    pictures = find_pictures(data, images, column=column, on_skip=left_out.append if skip_bad else None)
    spec = choose_features(features, pixels=pixels, model=tower, layer=layer, image_size=image_size)
    ranks = Ranks()
    with Progress(disable=not ranks.is_first) as progress:
        tokenizer = fit_tokenizer(
            spec.build(),
            pictures,
            settings=settings,
            out=out,
            left_out=left_out if skip_bad else None,
            workers=workers,
            on_progress=Tasks(progress),
        )
    ranks.state.destroy_process_group()
    if not ranks.is_first:
        return
    tell_left_out(left_out)
    if left_out:
        Console(stderr=True).print(f"{len(left_out)} left out, as {out / QUARANTINE} says", soft_wrap=True)
    show_health(tokenizer.about)
    Console().print(f"visual tokenizer with a grid of {tokenizer.grid} in {out}", soft_wrap=True)


def choose_features(
    name: str | None, *, pixels: bool, model: str | None, layer: list[int] | None, image_size: int | None
) -> "Spec":
    """Makes the feature source that the options describe.

    Args:
        name: One of `FEATURES`; without it the features of `model`, by default of the embedded tower.
        pixels: The model's pixel patches instead.
        model: Checkpoint, if not that of the named source.
        layer: Hidden states, if not the last but one.
        image_size: Side of the square that pictures are resized to, if not the checkpoint's own.

    Raises:
        ValueError: If there is no such source, or an option does not apply to it.
    """
    from asvr.targets.sources import FEATURES, PixelSpec, TowerSpec

    if name is not None and (name not in FEATURES or pixels):
        raise ValueError(f"--features {name}: choose one of {', '.join(FEATURES)}, or leave out the option")
    spec = FEATURES[name] if name else PixelSpec("embedded:tower") if pixels else TowerSpec("embedded:tower")
    changes: dict[str, Any] = {"model": model, "image_size": image_size}
    # One is a number to the specs, several are a tuple.
    changes["layer"] = (tuple(layer) if len(layer) > 1 else layer[0]) if layer else None
    given = {option: value for option, value in changes.items() if value is not None}
    unknown = given.keys() - {field.name for field in fields(spec)}
    if unknown:
        option = min(unknown).replace("_", "-")
        raise ValueError(f"--{option} does not apply to {name or 'pixel patches'}: leave it out")
    return replace(spec, **given)


class Tasks:
    """Shows each part of a fit as a bar of its own.

    Args:
        progress: Where the bars are.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Moves a bar."""
        if what not in self.tasks:
            self.tasks[what] = self.progress.add_task(what, total=total)
        self.progress.update(self.tasks[what], completed=done)


def show_health(about: dict[str, Any]) -> None:
    """Prints how well the codebooks serve, and whether that is healthy."""
    table = Table("depth", "codes used", "perplexity", "variance explained", box=None)
    for depth, figures in enumerate(about["health"]):
        explained = f"{1 - figures['residual_energy']:.1%}"
        table.add_row(str(depth), f"{figures['usage']:.1%}", f"{figures['perplexity']:.0f}", explained)
    Console().print(table)
    judged = about["judged_on"]
    Console().print(f"on {judged['vectors']:,} visual tokens of pictures {judged['pictures']}", soft_wrap=True)
    for reason in about["verdict"]:
        Console().print(f"[bold red]unhealthy[/]: {reason}", highlight=False, soft_wrap=True)
    if not about["verdict"]:
        Console().print("healthy")
