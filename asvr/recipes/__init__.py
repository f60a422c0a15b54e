"""Recipes by name: everything that decides a run's numbers, as frozen values."""

from asvr.recipes.adapters import ROWS as ADAPTER_ROWS
from asvr.recipes.any_resolution import ROWS as ANY_RESOLUTION_ROWS
from asvr.recipes.baseline import ROWS as BASELINE_ROWS
from asvr.recipes.data_scale import ROWS as DATA_SCALE_ROWS
from asvr.recipes.denoising import ROWS as DENOISING_ROWS
from asvr.recipes.language_model import ROWS as LANGUAGE_MODEL_ROWS
from asvr.recipes.resolution import ROWS as RESOLUTION_ROWS
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision_source import ROWS as SUPERVISION_SOURCE_ROWS
from asvr.recipes.supervision_stage import ROWS as SUPERVISION_STAGE_ROWS
from asvr.recipes.tiny import ROWS as TINY_ROWS
from asvr.recipes.visual_input import ROWS as VISUAL_INPUT_ROWS

ROWS = (
    *BASELINE_ROWS,
    *SUPERVISION_SOURCE_ROWS,
    *SUPERVISION_STAGE_ROWS,
    *VISUAL_INPUT_ROWS,
    *LANGUAGE_MODEL_ROWS,
    *DATA_SCALE_ROWS,
    *DENOISING_ROWS,
    *RESOLUTION_ROWS,
    *ANY_RESOLUTION_ROWS,
    *ADAPTER_ROWS,
    *TINY_ROWS,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in ROWS}
