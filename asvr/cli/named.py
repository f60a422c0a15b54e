"""Finds a value by the name that a user has typed."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def find_named(name: str, known: Mapping[str, Value], kind: str) -> Value:
    """Gives the value of a name.

    Args:
        name: What was typed.
        known: All values by name.
        kind: What they are, for the error.

    Raises:
        ValueError: If there is none of that name, with the nearest one.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
    raise ValueError(f"there is no {kind} {name!r}: {hint}")
