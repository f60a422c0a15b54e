"""Another recipe from a recipe: typed changes by dotted path, differences, and a hash."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from asvr.recipes.spec import Recipe, Stage


def derive(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """Replaces fields given by path, such as `stages.instruct.optimisation.learning_rate`; values are parsed by type.

    Raises:
        ValueError: If a path names no field, or a value is not of the field's type.
    """
    for path, text in changes.items():
        recipe = _replaced(recipe, path.split("."), text, path)
    return recipe


def tokenizer_changes(recipe: Recipe, tokenizer: Path) -> dict[str, str]:
    """Gives the changes that let every visual loss of a recipe use one visual tokenizer."""
    return {
        f"stages.{stage.name}.supervision.{name}.target.tokenizer": str(tokenizer)
        for stage in recipe.stages
        for name in stage.supervision
    }


def _replaced(value: Any, keys: list[str], text: str, path: str) -> Any:
    if not keys:
        raise ValueError(f"--set {path}: this is a group of fields, not one: go on with a dot and a field's name")
    key, rest = keys[0], keys[1:]
    if isinstance(value, tuple) and all(isinstance(item, Stage) for item in value):
        _check(key, [stage.name for stage in value], path)
        return tuple(_replaced(stage, rest, text, path) if stage.name == key else stage for stage in value)
    if isinstance(value, Mapping):
        _check(key, list(value), path)
        return {name: _replaced(item, rest, text, path) if name == key else item for name, item in value.items()}
    _check(key, [each.name for each in fields(value)] if is_dataclass(value) else [], path)
    assert is_dataclass(value) and not isinstance(value, type)
    old, hint = getattr(value, key), get_type_hints(type(value))[key]
    is_group = is_dataclass(old) or isinstance(old, Mapping) or hint == tuple[Stage, ...]
    new = _replaced(old, rest, text, path) if rest or is_group else _parse(text, hint, path)
    return replace(value, **{key: new})


def _check(key: str, known: list[str], path: str) -> None:
    if key in known:
        return
    if not known:
        raise ValueError(f"--set {path}: what stands before {key!r} is a plain value: end the path there")
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
    raise ValueError(f"--set {path}: there is no {key!r} here: {hint}")


def _parse(text: str, hint: Any, path: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(f"--set {path}={text}: choose one of {', '.join(get_args(hint))}")
        return text
    if get_origin(hint) is tuple:
        return tuple(text.split(","))
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError(f"--set {path}={text}: write true or false")
        return text == "true"
    try:
        return hint(text)
    except ValueError as error:
        raise ValueError(f"--set {path}={text}: the value must be of type {hint.__name__}") from error


def as_json(value: Any) -> Any:
    """Turns a recipe into plain JSON values that still say which class each part is of."""
    if is_dataclass(value):
        parts = {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
        return {"class": type(value).__name__, **parts}
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value


def recipe_hash(recipe: Recipe) -> str:
    """Hashes what decides a run's numbers: every field but the recipe's name and source."""
    decisive = {name: item for name, item in as_json(recipe).items() if name not in ("name", "source")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def flatten(recipe: Recipe) -> dict[str, Any]:
    """Lists every field by its dotted path, as `--set` takes it."""
    return dict(_leaves(recipe, ""))


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if is_dataclass(value):
        children = [(each.name, getattr(value, each.name)) for each in fields(value)]
    elif isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, tuple) and value and all(isinstance(item, Stage) for item in value):
        children = [(stage.name, stage) for stage in value]
    else:
        return [(path, value)]
    return [leaf for name, child in children for leaf in _leaves(child, f"{path}.{name}" if path else name)]
