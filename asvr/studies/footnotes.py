"""What sets a shrunk recipe apart from the real one, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asvr.derive import flatten
from asvr.recipes.spec import Recipe, Stage
from asvr.studies.stand_ins import STAND_INS

UNNAMED = ("name", "source")


def deviations(recipe: Recipe, tiny: Recipe, parts: Path) -> list[str]:
    """Lists every field in which a shrunk recipe differs from the real one, and what stands in for what it names.

    Args:
        recipe: The real one.
        tiny: What `shrink` made of it.
        parts: Folder of the stand-ins.
    """
    real, small = _fields(recipe), _fields(tiny)
    notes = [
        _in_words(path, real.get(path), small.get(path), parts)
        for path in {**real, **small}
        if real.get(path) != small.get(path) and path not in UNNAMED
    ]
    return list(dict.fromkeys([*notes, *_heads(recipe, tiny)]))


def split_common(notes: Mapping[str, Sequence[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """Splits notes by arm into those that every arm has and each arm's own.

    Args:
        notes: Notes of each arm.
    """
    counts = Counter(note for own in notes.values() for note in own)
    common = [note for note in next(iter(notes.values()), []) if counts[note] == len(notes)]
    return common, {name: [note for note in own if note not in common] for name, own in notes.items()}


def _heads(recipe: Recipe, tiny: Recipe) -> list[str]:
    """Says which head stands for which, once for all stages."""
    pairs = [
        (stage.supervision[name].head, small.supervision[name].head)
        for stage, small in zip(recipe.stages, tiny.stages, strict=True)
        for name in stage.supervision
    ]
    return [f"head: {small} for {real}" for real, small in dict.fromkeys(pairs)]


def _fields(recipe: Recipe) -> dict[str, Any]:
    """Lists fields by path; a stage's data is one field, and heads are said by themselves."""
    fields = {
        path: value for path, value in flatten(recipe).items() if ".mixture." not in path and ".head." not in path
    }
    return fields | {f"stages.{stage.name}.mixture": _mixture(stage) for stage in recipe.stages}


def _mixture(stage: Stage) -> str:
    return " + ".join(
        share.name if share.weight == 1 else f"{share.weight:.3g} x {share.name}" for share in stage.mixture
    )


def _in_words(path: str, real: Any, small: Any, parts: Path) -> str:
    if isinstance(small, str) and Path(small).is_relative_to(parts):
        name = Path(small).relative_to(parts).as_posix()
        return f"{name}: {STAND_INS[name].what}"
    if path.endswith(".target.cache"):
        return "codes are computed in every step, not read from a cache"
    short = path.removeprefix("stages.").removeprefix("model.").replace("optimisation.", "").replace(".", " ")
    if real is None:
        return f"{short}: {_text(small)}"
    return f"{short}: {_text(small)} for {_text(real)}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
