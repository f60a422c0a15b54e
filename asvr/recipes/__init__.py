"""Recipes by name: everything that decides a run's numbers, as frozen values."""

from asvr.recipes.baseline import ROWS as BASELINE_ROWS
from asvr.recipes.data_scale import ROWS as DATA_SCALE_ROWS
from asvr.recipes.spec import Recipe
from asvr.recipes.tiny import ROWS as TINY_ROWS

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*BASELINE_ROWS, *DATA_SCALE_ROWS, *TINY_ROWS)}
