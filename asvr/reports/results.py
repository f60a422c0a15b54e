"""Reads a study's folder: its arms, their runs, and what compares them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StageResult:
    """What a stage of a run left behind.

    Args:
        name: Its name in the recipe.
        steps: Optimisation steps.
        seconds: Training time.
        tokens: Counts of one pass over its data, by name.
        trained_parameters: Counts by prefix of the parameters' names.
        metrics: Logged lines in order, each with `step`.
    """

    name: str
    steps: int
    seconds: float
    tokens: Mapping[str, Any]
    trained_parameters: Mapping[str, int]
    metrics: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    Args:
        seed: Its seed.
        fields: The recipe's fields by dotted path.
        supervision: Names of the visual losses of the last stage; none is a text-only run.
        stages: Stages in order.
        scores: `accuracy` and `num_questions` by kind of question, `average` and `overall`; in percent.
        answers: One record per question.
        reconstruction: How well the head reconstructs codes; None if it was not measured.
    """

    seed: int
    fields: Mapping[str, Any]
    supervision: tuple[str, ...]
    stages: tuple[StageResult, ...]
    scores: Mapping[str, Any]
    answers: tuple[Mapping[str, Any], ...]
    reconstruction: Mapping[str, Any] | None

    @property
    def seconds(self) -> float:
        """Gives the training time of all stages."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class Arm:
    """One side of the study with its runs, in order of the seeds."""

    name: str
    recipe: str
    note: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Study:
    """Everything that the report shows.

    Args:
        folder: Where it lies.
        about: Content of `study.json`.
        arms: The baseline first.
        comparisons: Each other arm beside the baseline, as `comparison.json` has them.
        equal_time: Arms beside the baseline trained for as many seconds; empty where no arm was matched.
        probes: What codes hold; None if it was not measured.
        tokenizers: How well each tokenizer's codebooks serve new images; None if it was not measured.
    """

    folder: Path
    about: Mapping[str, Any]
    arms: tuple[Arm, ...]
    comparisons: tuple[Mapping[str, Any], ...]
    equal_time: tuple[Mapping[str, Any], ...]
    probes: Mapping[str, Any] | None
    tokenizers: Mapping[str, Any] | None

    @property
    def baseline(self) -> Arm:
        """Gives the arm that the others are compared with."""
        return self.arms[0]

    def picture(self, name: str) -> Path:
        """Finds a picture by its absolute path, or by one relative to here, the image folder or the study's folder.

        Raises:
            FileNotFoundError: If it is in none of these places.
        """
        roots = [Path(), Path(self.about["images"]), self.folder / self.about["images"], self.folder]
        for root in roots:
            if (root / name).is_file():
                return root / name
        places = ", ".join(str(root) for root in roots)
        raise FileNotFoundError(
            f"picture {name!r} is in none of {places}. Put it back, or run from where the study was."
        )


def read_study(folder: Path) -> Study:
    """Reads a finished study.

    Args:
        folder: Holds `study.json`, `comparison.json` and a folder per arm; `equal_time.json`, `probes.json`,
            `tokenizer.json` and each run's `reconstruction.json` may be absent.

    Raises:
        FileNotFoundError: If another file is missing.
        ValueError: If a file is not JSON, or the baseline is not one of the arms.
    """
    about = _read(folder / "study.json")
    if about["baseline"] not in [arm["name"] for arm in about["arms"]]:
        raise ValueError(
            f"{folder / 'study.json'}: the baseline {about['baseline']!r} is not one of the arms. Mend it."
        )
    arms = [
        Arm(
            name=arm["name"],
            recipe=arm["recipe"],
            note=arm["note"],
            runs=tuple(_run(folder / arm["name"], seed, about["on"]) for seed in about["seeds"]),
        )
        for arm in sorted(about["arms"], key=lambda arm: arm["name"] != about["baseline"])
    ]
    equal_time = _read_optional(folder / "equal_time.json") or {"comparisons": ()}
    return Study(
        folder=folder,
        about=about,
        arms=tuple(arms),
        comparisons=tuple(_read(folder / "comparison.json")["comparisons"]),
        equal_time=tuple(equal_time["comparisons"]),
        probes=_read_optional(folder / "probes.json"),
        tokenizers=_read_optional(folder / "tokenizer.json"),
    )


def _run(arm: Path, seed: int, on: str) -> Run:
    folder = arm / f"seed-{seed}"
    recipe = _read(folder / "recipe.json")
    stages = recipe["recipe"]["stages"]
    evaluation = folder / "evaluation" / on
    return Run(
        seed=seed,
        fields=recipe["fields"],
        supervision=tuple(stages[-1]["supervision"]),
        stages=tuple(_stage(folder / stage["name"]) for stage in stages),
        scores=_read(evaluation / "scores.json")["scores"],
        answers=tuple(_read_lines(evaluation / "answers.jsonl")),
        reconstruction=_read_optional(folder / "reconstruction.json"),
    )


def _stage(folder: Path) -> StageResult:
    facts = _read(folder / "stage.json")
    return StageResult(
        name=folder.name,
        steps=facts["steps"],
        seconds=float(facts["seconds"]),
        tokens=facts["tokens"],
        trained_parameters=facts["trained_parameters"],
        metrics=tuple(_read_lines(folder / "metrics.jsonl")),
    )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(_text(path))


def _read_optional(path: Path) -> dict[str, Any] | None:
    return _read(path) if path.is_file() else None


def _read_lines(path: Path) -> list[dict[str, Any]]:
    # Not splitlines: U+2028 may stand inside an answer.
    return [json.loads(line) for line in _text(path).split("\n") if line]


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. The study is not finished: run its command again.")
    return path.read_text(encoding="utf-8")
