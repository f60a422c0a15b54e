"""Reads `--set` as changes of a recipe's fields."""

from collections.abc import Sequence


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
