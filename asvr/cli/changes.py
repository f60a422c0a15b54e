"""Reads `--set` and `--tokenizer` as changes of a recipe's fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asvr.recipes.spec import Recipe


def changes_of(settings: Sequence[str]) -> dict[str, str]:
    """Turns `PATH=VALUE` texts into values by path.

    Raises:
        ValueError: If one has no equals sign.
    """
    changes = {}
    for text in settings:
        path, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set {text}: write PATH=VALUE, such as --set alignment=same")
        changes[path] = value
    return changes


def tokenizer_changes(recipe: "Recipe", tokenizer: Path | None) -> dict[str, str]:
    """Gives every visual loss of a recipe the same tokenizer; none leaves the recipe's own."""
    if tokenizer is None:
        return {}
    return {
        f"stages.{stage.name}.supervision.{name}.target.tokenizer": str(tokenizer)
        for stage in recipe.stages
        for name in stage.supervision
    }
