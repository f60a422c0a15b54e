"""`asvr targets features`: features as they are, as targets, standardised by what many pictures say of them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from asvr.cli.left_out import tell_left_out

if TYPE_CHECKING:
    from asvr.data.pictures import Pictures
    from asvr.targets.continuous import ContinuousTargets
    from asvr.targets.features import FeatureSource


def features(
    out: Annotated[Path, typer.Option(help="Folder of the new targets.")],
    source: Annotated[
        str | None, typer.Option("--features", help="What is reconstructed: vae, siglip, dinov2, ...; else --tower's.")
    ] = None,
    tower: Annotated[
        str | None, typer.Option(help="Checkpoint to take: hub name or folder; embedded:tower is the demo's.")
    ] = None,
    pixels: Annotated[bool, typer.Option("--pixels", help="The tower's pixel patches, not its features.")] = False,
    layer: Annotated[list[int] | None, typer.Option(help="Which of the tower's hidden states; -2 by default.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize pictures to a square of so many pixels, without cropping.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw latents from the autoencoder's distribution each time, as ROSS does.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Pictures, as for `tokenizer fit`, that say how to standardise each channel.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images of LLaVA records.")] = None,
    column: Annotated[str, typer.Option(help="Picture column of a table.")] = "image",
    max_images: Annotated[int, typer.Option(min=1, help="Use at most this many images, drawn from all.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Draws the images.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Data worker processes.")] = 0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="List what cannot be read, instead of stopping.")
    ] = False,
) -> None:
    """Write continuous targets: for a denoising or a cosine head. Without --data features stay as they are."""
    from asvr.cli.tokenizer_fit import choose_features
    from asvr.data.pictures import find_pictures
    from asvr.targets.continuous import ContinuousTargets
    from asvr.targets.sources import LatentSpec

    spec = choose_features(source, pixels=pixels, model=tower, layer=layer, image_size=image_size)
    if sample and not isinstance(spec, LatentSpec):
        raise ValueError(f"--sample does not apply to {source or 'these features'}: leave it out")
    spec = replace(spec, sample=True) if isinstance(spec, LatentSpec) and sample else spec
    if data is None:
        targets = ContinuousTargets(spec.build(), about={"standardised": False})
    else:
        left_out: list[str] = []
        pictures = find_pictures(data, images, column=column, on_skip=left_out.append if skip_bad else None)
        tell_left_out(left_out)
        drawn = {"max_pictures": max_images, "seed": seed}
        targets = standardised(spec.build(), pictures, drawn, data=data, workers=workers, skip_bad=skip_bad)
    targets.save_pretrained(out)
    rows, columns = targets.grid
    told = f"continuous targets of {targets.channels} channels on a grid of {rows}x{columns} in {out}"
    Console().print(told, soft_wrap=True, highlight=False)


def standardised(
    source: "FeatureSource", pictures: "Pictures", drawn: dict[str, int], *, data: str, workers: int, skip_bad: bool
) -> "ContinuousTargets":
    """Measures features over pictures, and says when they are few.

    Args:
        source: What is measured.
        pictures: All pictures.
        drawn: How many of them at most, and the seed that draws them.
        data: Where they come from; written down.
        workers: Data worker processes.
        skip_bad: Whether to list pictures that cannot be read, and leave them out.
    """
    from asvr.cli.tokenizer_fit import Tasks
    from asvr.targets.continuous import ContinuousTargets
    from asvr.tokenizers.channel_statistics import ENOUGH_PICTURES, measure_channels

    with Progress(transient=True) as progress:
        measured = measure_channels(
            source, pictures, **drawn, workers=workers, skip_bad=skip_bad, on_progress=Tasks(progress)
        )
    tell_left_out(measured.bad)
    used = measured.about["pictures"]
    Console().print(f"each channel standardised over {used:,} pictures", soft_wrap=True, highlight=False)
    if used < ENOUGH_PICTURES:
        told = f"[bold yellow]few pictures[/]: {used:,}; give {ENOUGH_PICTURES:,} or more for figures to rely on"
        Console(stderr=True).print(told, highlight=False, soft_wrap=True)
    about = {"standardised": True, "data": data, **measured.about}
    return ContinuousTargets(source, statistics=measured.statistics, about=about)
