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
    """List the recipes by the tables of the paper, or show one field by field, as --set takes them."""
    from asvr.derive import flatten

    console = Console()
    if name is None and diff is not None:
        raise ValueError(f"--diff {diff}: name the recipe to compare it with too, as asvr recipes NAME --diff {diff}")
    if name is None:
        _list(console)
        return
    fields = flatten(find_recipe(name))
    other = fields if diff is None else flatten(find_recipe(diff))
    if diff is not None:
        console.print(f"[bold]{name} → {diff}[/]", highlight=False)
    for path in {**fields, **other}:
        old, new = _text(fields.get(path, "—")), _text(other.get(path, "—"))
        if diff is None:
            console.print(f"[cyan]{path}[/] = {escape(old)}", soft_wrap=True, highlight=False)
        elif old != new and path != "name":
            console.print(f"[cyan]{path}[/]: {escape(old)} → {escape(new)}", soft_wrap=True, highlight=False)


def _list(console: Console) -> None:
    """Lists every recipe under each table that it is a row of, and the others at the end."""
    from asvr.recipes import RECIPES
    from asvr.recipes.tables import TABLES

    in_tables = {row.recipe for table in TABLES.values() for row in table.rows}
    for table in TABLES.values():
        rows = [(row.recipe, row.label) for row in table.rows]
        _list_some(console, f"Table {table.number}: {table.title}", rows)
    others = [(recipe.name, recipe.source) for recipe in RECIPES.values() if recipe.name not in in_tables]
    _list_some(console, "in none of the tables", others)


def _list_some(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    from asvr.derive import recipe_hash
    from asvr.recipes import RECIPES

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(min_width=max(map(len, RECIPES)), no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, row in rows:
        table.add_row(name, recipe_hash(RECIPES[name])[:8], escape(row))
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    console.print(table, "")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def find_recipe(name: str):
    """Finds a recipe by name; errors are those of `find_named`."""
    from asvr.recipes import RECIPES

    return find_named(name, RECIPES, "recipe")
