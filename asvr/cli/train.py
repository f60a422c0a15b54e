"""`asvr train`: a recipe on your data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from asvr.cli.changes import changes_of
from asvr.cli.recipes import find_recipe
from asvr.cli.sources import stage_sources, unlabelled_sources


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; `asvr recipes` lists them.")],
    data: Annotated[list[str], typer.Option(help="STAGE=FILE: LLaVA records of a stage; several are joined.")],
    images: Annotated[list[str], typer.Option(help="[STAGE=]FOLDER: where the records' images are.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/RECIPE-seed-SEED by default.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Records without text, for recipes that take unlabelled pictures.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Visual tokenizer of every visual loss.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Its codes of all pictures, from `asvr targets cache`; no tokenizer runs then.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE: change a field of the recipe.")] = None,
    seed: Annotated[int, typer.Option(help="Decides initial weights and the order of the data.")] = 0,
    micro_batch: Annotated[int, typer.Option(min=1, help="Conversations per device and forward pass.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Data worker processes.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 500,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two lines of the log.")] = 10,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out broken records, and count them.")] = False,
    check_images: Annotated[bool, typer.Option(help="Open every image once before training.")] = True,
) -> None:
    """Train a recipe, stage after stage; the same command continues a run that was cut short."""
    from asvr.derive import derive
    from asvr.recipes.derive import cache_changes, tokenizer_changes
    from asvr.training.run import run_recipe
    from asvr.training.stage import Machine

    named = find_recipe(recipe)
    targets = tokenizer_changes(named, tokenizer) if tokenizer else {}
    targets |= cache_changes(named, cache) if cache else {}
    for option, folder in (("--tokenizer", tokenizer), ("--cache", cache)):
        if folder is not None and not targets:
            raise ValueError(
                f"recipe {recipe!r} has no visual loss, so {option} {folder} would change nothing: leave it out"
            )
    derived = derive(named, {**changes_of(set_ or []), **targets})
    stages = [stage.name for stage in derived.stages]
    machine = Machine(
        micro_batch=micro_batch,
        log_every=log_every,
        save_every=save_every,
        workers=workers,
        check_images=check_images,
    )
    folder = run_recipe(
        derived,
        out or Path("runs") / f"{recipe}-seed-{seed}",
        data=stage_sources(data, images, stages),
        companions=unlabelled_sources(unlabelled, images, stages),
        seed=seed,
        machine=machine,
        skip_bad=skip_bad,
        parent=named,
    )
    Console().print(f"stock model with its processor in {folder / 'model'}")
