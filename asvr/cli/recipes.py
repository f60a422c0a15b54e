"""`asvr recipes`: what can be trained."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asvr.cli.named import find_named


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show every field of this recipe.")] = None,
    diff: Annotated[str | None, typer.Option(help="Show only the fields in which this other recipe differs.")] = None,
) -> None:
    """List the recipes, or show one field by field, as --set takes them."""
    from asvr.derive import flatten, recipe_hash
    from asvr.recipes import RECIPES

    console = Console()
    if name is None and diff is not None:
        raise ValueError(f"--diff {diff}: name the recipe to compare it with too, as asvr recipes NAME --diff {diff}")
    if name is None:
        table = Table("recipe", "hash", "what it is", box=None)
        for recipe in RECIPES.values():
            table.add_row(recipe.name, recipe_hash(recipe)[:8], recipe.source)
        console.print(table)
        return
    fields = flatten(find_recipe(name))
    other = fields if diff is None else flatten(find_recipe(diff))
    for path in {**fields, **other}:
        old, new = _text(fields.get(path, "—")), _text(other.get(path, "—"))
        if diff is None:
            console.print(f"[cyan]{path}[/] = {escape(old)}", soft_wrap=True, highlight=False)
        elif old != new:
            console.print(f"[cyan]{path}[/]: {escape(old)} → {escape(new)}", soft_wrap=True, highlight=False)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def find_recipe(name: str):
    """Finds a recipe by name; errors are those of `find_named`."""
    from asvr.recipes import RECIPES

    return find_named(name, RECIPES, "recipe")
