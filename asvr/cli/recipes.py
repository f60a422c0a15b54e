"""`asvr recipes`: what can be trained."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show every field of this recipe.")] = None,
    diff: Annotated[str | None, typer.Option(help="Show only the fields in which this other recipe differs.")] = None,
) -> None:
    """List the recipes, or show one field by field, as --set takes them."""
    from asvr.recipes import RECIPES
    from asvr.recipes.derive import flatten, recipe_hash

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
    if diff is None:
        table = Table("field", "value", box=None)
        for path, value in fields.items():
            table.add_row(path, str(value))
    else:
        other = flatten(find_recipe(diff))
        table = Table("field", name, diff, box=None)
        for path in {**fields, **other}:
            if fields.get(path) != other.get(path):
                table.add_row(path, str(fields.get(path, "—")), str(other.get(path, "—")))
    console.print(table)


def find_recipe(name: str):
    """Finds a recipe by name.

    Raises:
        ValueError: If there is none, with the nearest name.
    """
    import difflib

    from asvr.recipes import RECIPES

    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(RECIPES)}"
    raise ValueError(f"there is no recipe {name!r}: {hint}")
