"""The changes that lead from a recipe to one of its variants, as `asvr.derive` takes them."""

from pathlib import Path

from asvr.recipes.spec import Recipe


def tokenizer_changes(recipe: Recipe, tokenizer: Path) -> dict[str, str]:
    """Gives the changes that let every visual loss of a recipe use one visual tokenizer."""
    return _target_changes(recipe, "tokenizer", tokenizer)


def cache_changes(recipe: Recipe, store: Path) -> dict[str, str]:
    """Gives the changes that let every visual loss of a recipe read its codes from one store."""
    return _target_changes(recipe, "cache", store)


def _target_changes(recipe: Recipe, field: str, folder: Path) -> dict[str, str]:
    return {
        f"stages.{stage.name}.supervision.{name}.target.{field}": str(folder)
        for stage in recipe.stages
        for name in stage.supervision
    }
