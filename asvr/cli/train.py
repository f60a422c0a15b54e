"""`asvr train`: a recipe on your data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from asvr.cli.changes import changes_of
from asvr.cli.recipes import find_recipe
from asvr.cli.sources import refuse_idle_folders, stage_sources, unlabelled_sources

if TYPE_CHECKING:
    from asvr.recipes.spec import Recipe


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; `asvr recipes` lists them.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="STAGE=FILE: LLaVA records, several are joined; STAGE/NAME=FILE: a data set of its mixture."),
    ] = None,
    images: Annotated[
        list[str] | None, typer.Option(help=r"\[STAGE\[/NAME]=]FOLDER: where the records' images are.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder with copies of the recipe's data sets; `asvr data list` names them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/RECIPE-seed-SEED by default.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Records without text, for recipes that take unlabelled pictures.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Visual tokenizer of every visual loss.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Its codes of all pictures, from `asvr targets cache`; no tokenizer runs then.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE: change a field of the recipe.")] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="At laptop size, on the embedded world where no --data is given.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides initial weights and the order of the data.")] = 0,
    micro_batch: Annotated[int, typer.Option(min=1, help="Conversations per device and forward pass.")] = 32,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Data worker processes; by the cores that are left, by default.")
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Let conversations share rows, none seeing another.")] = False,
    attention: Annotated[str, typer.Option(help="The language model's: sdpa, eager, flash_attention_2, ...")] = "sdpa",
    liger: Annotated[bool, typer.Option("--liger", help="Liger's kernels in the language model, on a GPU.")] = False,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 500,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two lines of the log.")] = 10,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out broken records, and count them.")] = False,
    check_images: Annotated[bool, typer.Option(help="Open every image once before training.")] = True,
) -> None:
    """Train a recipe, stage after stage; the same command continues a run that was cut short."""
    from asvr.derive import derive
    from asvr.training.run import run_recipe
    from asvr.training.stage import Machine

    named = shrunk(find_recipe(recipe)) if tiny else find_recipe(recipe)
    derived = derive(named, {**changes_of(set_ or []), **target_changes(named, tokenizer, cache)})
    data, images = data or [], images or []
    if data_root is not None and not data and not unlabelled:
        refuse_idle_folders(images, derived)
    machine = Machine(
        micro_batch=micro_batch,
        log_every=log_every,
        save_every=save_every,
        workers=workers,
        pack=pack,
        attention=attention,
        liger=liger,
        check_images=check_images,
    )
    sources = stage_sources(data, images, derived, root=data_root)
    if tiny and not any(sources.values()):
        from asvr.studies.stand_in_data import stand_in_data
        from asvr.studies.stand_ins import TINY_PARTS

        sources = stand_in_data(derived, TINY_PARTS.resolve())
    folder = run_recipe(
        derived,
        out or Path("runs") / f"{named.name}-seed-{seed}",
        data=sources,
        companions=unlabelled_sources(unlabelled, images, derived),
        seed=seed,
        machine=machine,
        skip_bad=skip_bad,
        parent=named,
    )
    Console().print(f"stock model with its processor in {folder / 'model'}")


def shrunk(recipe: "Recipe") -> "Recipe":
    """Gives a recipe at laptop size, and makes the stand-ins for what it names."""
    from asvr.recipes.shrink import shrink
    from asvr.studies.stand_ins import TINY_PARTS, make_stand_ins

    parts = TINY_PARTS.resolve()
    tiny = shrink(recipe, parts)
    make_stand_ins([tiny], parts)
    return tiny


def target_changes(recipe: "Recipe", tokenizer: Path | None, cache: Path | None) -> dict[str, str]:
    """Gives the changes that name a recipe's tokenizer and its cache.

    Raises:
        ValueError: If one is given and there is no visual loss over codes.
    """
    from asvr.recipes.derive import cache_changes, tokenizer_changes

    changes = tokenizer_changes(recipe, tokenizer) if tokenizer else {}
    changes |= cache_changes(recipe, cache) if cache else {}
    for option, folder in (("--tokenizer", tokenizer), ("--cache", cache)):
        if folder is not None and not changes:
            raise ValueError(
                f"recipe {recipe.name!r} has no visual loss over codes, so {option} {folder} would change nothing: "
                "leave it out"
            )
    return changes
