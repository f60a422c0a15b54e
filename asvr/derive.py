"""Another value from a frozen value, such as a recipe: typed changes by dotted path, plain JSON, and a hash."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")

NONE = ("none", "None")
"""How a field that may be left out is set to nothing; listings show the second."""


def derive(value: Value, changes: Mapping[str, str]) -> Value:
    """Replaces fields given by path, such as `stages.instruct.optimisation.learning_rate`; values are parsed by type.

    Args:
        value: A frozen dataclass of plain values, dataclasses, mappings, and tuples of dataclasses that have a `name`.
        changes: New values by path, as text; `none` for what may be left out.

    Raises:
        ValueError: If a path names no field, or a value is not of the field's type.
    """
    for path, text in changes.items():
        value = _replaced(value, path.split("."), text, path)
    return value


def _replaced(value: Any, keys: list[str], text: str, path: str) -> Any:
    if not keys:
        raise ValueError(f"--set {path}: this is a group of fields, not one: go on with a dot and a field's name")
    key, rest = keys[0], keys[1:]
    parts = _parts(value)
    _check(key, list(parts or ()), path)
    assert parts is not None
    if isinstance(value, tuple):
        return tuple(_replaced(item, rest, text, path) if item.name == key else item for item in value)
    if isinstance(value, Mapping):
        return {name: _replaced(item, rest, text, path) if name == key else item for name, item in value.items()}
    old, hint = parts[key], get_type_hints(type(value))[key]
    left_out = text in NONE and type(None) in get_args(hint)
    is_group = _parts(old) is not None and not left_out
    new = _replaced(old, rest, text, path) if rest or is_group else _parse(text, hint, path)
    return replace(value, **{key: new})


def _parts(value: Any) -> dict[str, Any] | None:
    """Gives what a group is made of by name; None for a plain value."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(is_dataclass(item) for item in value):
        return {item.name: item for item in value}
    return None


def _check(key: str, known: list[str], path: str) -> None:
    if key in known:
        return
    if not known:
        raise ValueError(f"--set {path}: what stands before {key!r} is a plain value: end the path there")
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
    raise ValueError(f"--set {path}: there is no {key!r} here: {hint}")


def _parse(text: str, hint: Any, path: str) -> Any:
    if get_origin(hint) in (Union, UnionType):
        # Only `X | None` is a type of fields.
        return None if text in NONE else _parse(text, get_args(hint)[0], path)
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(f"--set {path}={text}: choose one of {', '.join(get_args(hint))}")
        return text
    if get_origin(hint) is tuple:
        return tuple(_parse(item, get_args(hint)[0], path) for item in text.split(",") if text)
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError(f"--set {path}={text}: write true or false")
        return text == "true"
    try:
        return hint(text)
    except ValueError as error:
        raise ValueError(f"--set {path}={text}: the value must be of type {hint.__name__}") from error


def as_json(value: Any) -> Any:
    """Turns a frozen value into plain JSON values that still say which class each part is of."""
    if is_dataclass(value):
        parts = {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
        return {"class": type(value).__name__, **parts}
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value


def recipe_hash(recipe: Any) -> str:
    """Hashes what decides a run's numbers: every field but the recipe's name and source."""
    decisive = {name: item for name, item in as_json(recipe).items() if name not in ("name", "source")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def flatten(value: Any) -> dict[str, Any]:
    """Lists every field by its dotted path, as `--set` takes it."""
    return dict(_leaves(value, ""))


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    parts = _parts(value)
    if parts is None:
        return [(path, value)]
    return [leaf for name, child in parts.items() for leaf in _leaves(child, f"{path}.{name}" if path else name)]
