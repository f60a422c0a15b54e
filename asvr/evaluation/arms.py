"""The sides of a comparison: answers of one recipe's runs, one per seed, found in run folders and checked to match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asvr.evaluation.answer_file import Answer, read_complete

SINGLE = "single"
"""The seed's name of a run whose folder is not split into seeds."""

EVALUATION = "evaluation"
"""The folder of a run that holds its evaluations."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Args:
        name: What tables call it.
        prompt_hash: The header's; the same for every run.
        runs: Answers by the seed's folder name, such as `seed-0`.
    """

    name: str
    prompt_hash: str
    runs: Mapping[str, tuple[Answer, ...]]


def load_arms(folders: Sequence[Path], *, on: str) -> list[Arm]:
    """Reads arms that can be compared with each other.

    Args:
        folders: One folder per arm: either `seed-*/evaluation/<on>` is in it, or, for a single run, `evaluation/<on>`.
        on: Name of the evaluation's folder.

    Raises:
        FileNotFoundError: If a folder or an evaluation in it is missing.
        ValueError: If an evaluation is not finished, a folder is given twice, or `check_comparable` refuses.
    """
    arms = [_load_arm(path, name=name, on=on) for name, path in name_folders(folders).items()]
    for arm in arms[1:]:
        check_comparable(arms[0], arm)
    return arms


def name_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Names arms by their folders, or by their whole paths where two folders have the same name.

    A folder `evaluation` is called as the run that it is in. The paths are absolute, in the given order.

    Raises:
        ValueError: If a folder is given twice.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"{path} is given twice. Give each arm's folder once, the baseline's first.")
    names = [path.parent.name if path.name == EVALUATION else path.name for path in paths]
    return {name if names.count(name) == 1 else str(path): path for name, path in zip(names, paths, strict=True)}


def seed_folders(folder: Path) -> dict[str, Path]:
    """Finds the runs of an arm: its `seed-*` folders by their names, or else the folder itself as `SINGLE`.

    Raises:
        FileNotFoundError: If the folder is missing.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give a folder of runs, or one run's.")
    return {path.name: path for path in sorted(folder.glob("seed-*")) if path.is_dir()} or {SINGLE: folder}


def _load_arm(folder: Path, *, name: str, on: str) -> Arm:
    files = {seed: read_complete(path / EVALUATION / on) for seed, path in seed_folders(folder).items()}
    hashes = {seed: header.prompt_hash for seed, (header, _) in files.items()}
    first, *others = hashes
    for seed in others:
        if hashes[seed] != hashes[first]:
            raise ValueError(_hashes_differ(f"{folder}: {first}", hashes[first], seed, hashes[seed]))
    return Arm(name=name, prompt_hash=hashes[first], runs={seed: answers for seed, (_, answers) in files.items()})


def check_comparable(a: Arm, b: Arm) -> None:
    """Refuses arms that did not answer the same questions, put in the same way, with the same seeds.

    Raises:
        ValueError: Naming what differs first.
    """
    if a.prompt_hash != b.prompt_hash:
        raise ValueError(_hashes_differ(a.name, a.prompt_hash, b.name, b.prompt_hash))
    check_seeds(a.name, list(a.runs), b.name, list(b.runs))
    reference = question_key(next(iter(a.runs.values())))
    for arm in (a, b):
        for seed, answers in arm.runs.items():
            key = question_key(answers)
            differing = {name for name in reference | key if reference.get(name) != key.get(name)}
            if differing:
                raise ValueError(
                    f"{arm.name} ({seed}) and {a.name} did not answer the same questions: {len(differing)} differ, "
                    f"the first is {min(differing)!r}. Evaluate both on the same data with the same limit."
                )


def check_seeds(a: str, seeds_a: Sequence[str], b: str, seeds_b: Sequence[str]) -> None:
    """Refuses arms, given by name and seeds, whose runs are not pairs of equal seed.

    Raises:
        ValueError: Naming the seeds of both.
    """
    if set(seeds_a) != set(seeds_b):
        raise ValueError(
            f"{a} has {', '.join(seeds_a)}, but {b} has {', '.join(seeds_b)}. Runs are compared in pairs of "
            "equal seed: train and evaluate the missing ones."
        )


def question_key(answers: Sequence[Answer]) -> dict[str, tuple[Any, ...]]:
    """Gives by id what must be the same of a question in every run: all but the model's answer."""
    return {
        answer.id: (answer.category, answer.question, answer.reference, answer.item, *answer.images)
        for answer in sorted(answers, key=lambda answer: answer.id)
    }


def _hashes_differ(a: str, hash_a: str, b: str, hash_b: str) -> str:
    return (
        f"{a} and {b} were not evaluated in the same way: their prompt hashes are {hash_a[:12]} and {hash_b[:12]}. "
        "Evaluate both with the same data file, chat template and longest answer."
    )
