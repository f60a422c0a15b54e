"""The changes that lead from a recipe to one of its variants, as `asvr.derive` takes them."""

from pathlib import Path

from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CodesSpec


def tokenizer_changes(recipe: Recipe, tokenizer: Path) -> dict[str, str]:
    """Gives the changes that let every visual loss over codes use one visual tokenizer."""
    return _target_changes(recipe, "tokenizer", tokenizer)


def cache_changes(recipe: Recipe, store: Path) -> dict[str, str]:
    """Gives the changes that let every visual loss over codes read them from one store."""
    return _target_changes(recipe, "cache", store)


def _target_changes(recipe: Recipe, field: str, folder: Path) -> dict[str, str]:
    return {
        f"stages.{stage.name}.supervision.{name}.target.{field}": str(folder)
        for stage in recipe.stages
        for name, term in stage.supervision.items()
        if isinstance(term.target, CodesSpec)
    }
