"""`asvr tokenizer train`: a tokenizer whose networks are trained, not only its codebooks."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from asvr.cli.changes import changes_of
from asvr.cli.left_out import tell_left_out
from asvr.cli.named import find_named
from asvr.cli.tokenizer_fit import Tasks


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; `asvr tokenizer recipes` lists them.")],
    data: Annotated[
        str, typer.Option(help="Pictures: a folder, LLaVA records, a parquet file, or a data set of the hub.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new tokenizers; it gets semantic/ and appearance/.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images of LLaVA records.")] = None,
    column: Annotated[str, typer.Option(help="Picture column of a table.")] = "image",
    caption_column: Annotated[str | None, typer.Option(help="Caption column of a table.")] = None,
    tower: Annotated[str | None, typer.Option(help="Another vision tower: hub name or folder.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE: change a field of the recipe.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimisation steps, if not the recipe's.")] = None,
    seed: Annotated[int, typer.Option(help="Decides initial weights, codebooks, order and crops.")] = 0,
    micro_batch: Annotated[int, typer.Option(min=1, help="Pictures per device and forward pass.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Data worker processes.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 500,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two lines of the log.")] = 10,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out broken pictures, and count them.")] = False,
) -> None:
    """Train a visual tokenizer; the same command continues; under torchrun, the processes share the work."""
    from asvr.data.pictures import find_pictures
    from asvr.derive import derive
    from asvr.tokenizer_training.loop import Layout
    from asvr.tokenizer_training.recipes import TOKENIZER_RECIPES
    from asvr.tokenizer_training.run import train_tokenizer
    from asvr.tokenizers.ranks import Ranks

    changes = changes_of(set_ or [])
    changes |= {} if tower is None else {"tower": tower}
    changes |= {} if steps is None else {"optimisation.steps": str(steps)}
    chosen = derive(find_named(recipe, TOKENIZER_RECIPES, "tokenizer recipe"), changes)
    skipped: list[str] = []
    pictures = find_pictures(
        data, images, column=column, caption_column=caption_column, on_skip=skipped.append if skip_bad else None
    )
    layout = Layout(micro_batch=micro_batch, log_every=log_every, save_every=save_every, workers=workers)
    ranks = Ranks()
    with Progress(disable=not ranks.is_first) as progress:
        facts = train_tokenizer(
            chosen, pictures, out, seed=seed, layout=layout, skip_bad=skip_bad, on_progress=Tasks(progress)
        )
    ranks.state.destroy_process_group()
    if not ranks.is_first:
        return
    tell_left_out(skipped)
    if facts["left_out"]:
        line = f"left out {facts['left_out']} picture(s); {out / 'quarantine.txt'} says why"
        Console(stderr=True).print(line, markup=False, soft_wrap=True)
    _show(facts, out)


def _show(facts: dict, out: Path) -> None:
    """Prints what the new tokenizers do to pictures that they were not trained on."""
    for name, figures in facts["held_out"].items():
        means = {key: value for key, value in figures.items() if isinstance(value, float)}
        said = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in means.items())
        Console().print(f"{name}: {said} on {figures['pictures']} pictures kept from training", soft_wrap=True)
        for reason in figures.get("verdict", []):
            Console().print(f"[bold red]unhealthy:[/] {escape(reason)}", soft_wrap=True)
        Console().print(f"visual tokenizer in {out / name}", soft_wrap=True)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show every field of this recipe.")] = None,
) -> None:
    """List the recipes of trained tokenizers, or show one field by field, as --set takes them."""
    from asvr.derive import flatten, recipe_hash
    from asvr.tokenizer_training.recipes import TOKENIZER_RECIPES

    console = Console()
    if name is None:
        table = Table("recipe", "hash", "what it is", box=None)
        for recipe in TOKENIZER_RECIPES.values():
            table.add_row(recipe.name, recipe_hash(recipe)[:8], recipe.source)
        console.print(table)
        return
    for path, value in flatten(find_named(name, TOKENIZER_RECIPES, "tokenizer recipe")).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        console.print(f"[cyan]{path}[/] = {escape(text)}", soft_wrap=True, highlight=False)
