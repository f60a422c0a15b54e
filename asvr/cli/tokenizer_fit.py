"""`asvr tokenizer fit`: a visual tokenizer for any vision tower."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from PIL.Image import Image
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table


def fit(
    data: Annotated[Path, typer.Option(help="LLaVA records whose images are quantised.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    out: Annotated[Path, typer.Option(help="Folder of the new tokenizer.")],
    tower: Annotated[
        str, typer.Option(help="Vision tower: hub name or folder; embedded:tower is the demo's.")
    ] = "embedded:tower",
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Quantise the tower's pixel patches, not its features.")
    ] = False,
    layer: Annotated[int, typer.Option(help="Which of the tower's hidden states; -2 is the paper's.")] = -2,
    depth: Annotated[int, typer.Option(min=1, help="Codes per visual token; the paper has 8.")] = 8,
    codes: Annotated[int, typer.Option(min=2, max=65_536, help="Code vectors per depth; the paper has 16384.")] = 1024,
    iterations: Annotated[int, typer.Option(min=1, help="Passes of k-means per depth.")] = 20,
    max_images: Annotated[int, typer.Option(min=1, help="Use at most this many images, the first.")] = 20_000,
    max_vectors: Annotated[
        int, typer.Option(min=1, help="Fit on at most about this many visual tokens, drawn from all images.")
    ] = 500_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal codebooks.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out broken records instead of stopping.")] = False,
) -> None:
    """Fit the codebooks of a residual quantiser on a vision tower's penultimate features."""
    import torch

    from asvr.data.dataset import Source, load_source
    from asvr.models.build import load_tower, resolve
    from asvr.targets.features import PixelPatches
    from asvr.targets.fit import fit_tokenizer
    from asvr.targets.preparing import load_image_processor
    from asvr.targets.towers import TowerFeatures

    skipped: list[str] = []
    conversations = load_source(Source(data, images), skip_bad=skip_bad, on_skip=skipped.append)
    records = {path: one.id for one in reversed(conversations) for path in one.images}
    if not records:
        raise ValueError(f"{data} has no images to fit a tokenizer on")
    chosen = dict(list(reversed(records.items()))[:max_images])
    model = load_tower(tower)
    processor = load_image_processor(resolve(tower))
    with Progress() as progress:
        reading = progress.add_task("features", total=len(chosen))
        fitting = progress.add_task("codebooks", total=depth * iterations)
        tokenizer = fit_tokenizer(
            PixelPatches(processor, model.config.patch_size) if pixels else TowerFeatures(model, processor, layer),
            _opened(chosen, progress, reading, on_bad=skipped.append if skip_bad else None),
            depth=depth,
            num_codes=codes,
            iterations=iterations,
            seed=seed,
            positions=max(1, max_vectors // len(chosen)),
            device="cuda" if torch.cuda.is_available() else "cpu",
            on_iteration=lambda: progress.advance(fitting),
        )
    tokenizer.save_pretrained(out)
    for reason in skipped:
        Console(stderr=True).print(f"left out: {reason}", markup=False, soft_wrap=True)
    show_health(tokenizer.about["health"])
    Console().print(f"visual tokenizer with a grid of {tokenizer.grid} in {out}")


def _opened(
    records: Mapping[str, str], progress: Progress, task: TaskID, *, on_bad: Callable[[str], None] | None
) -> Iterator[Image]:
    """Opens image files, each with the record that shows it; what cannot be read stops, or is told to `on_bad`."""
    from asvr.data.images import open_image

    for path, record in records.items():
        progress.advance(task)
        try:
            image = open_image(Path(path), record=record)
        except ValueError as error:
            if on_bad is None:
                raise
            on_bad(str(error))
        else:
            yield image


def show_health(health: list[dict[str, float]]) -> None:
    """Prints how well the codebooks serve held-out images."""
    table = Table("depth", "codes used", "perplexity", "variance explained", box=None)
    for depth, figures in enumerate(health):
        explained = f"{1 - figures['residual_energy']:.1%}"
        table.add_row(str(depth), f"{figures['usage']:.1%}", f"{figures['perplexity']:.0f}", explained)
    Console().print(table)
