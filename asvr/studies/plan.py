"""What a study compares, as frozen values: arms, and the data they all share."""

from dataclasses import dataclass
from pathlib import Path

from asvr.data.dataset import Source
from asvr.derive import derive
from asvr.recipes.spec import Recipe
from asvr.training.stage import Machine


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of the comparison.

    Args:
        name: Its folder, and what tables call it.
        recipe: What it trains.
        note: What sets it apart, in words.
        equal_time_with: An arm as long as which it trains, in seconds: its last stage gets the epochs for that.
    """

    name: str
    recipe: Recipe
    note: str
    equal_time_with: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms that share data, data order and initial weights seed by seed; the first is the baseline.

    Args:
        title: Heading of the report.
        arms: What is compared.
        seeds: Each arm is trained once with each.
        data: Sources of each stage, by the stage's name.
        companions: Unlabelled pictures, for arms that take them.
        evaluation: Questions that every run answers.
        max_new_tokens: Longest answer in tokens.
    """

    title: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    data: dict[str, tuple[Source, ...]]
    companions: tuple[Source, ...] = ()
    evaluation: Source
    max_new_tokens: int = 8

    def __post_init__(self) -> None:
        """Refuses arms that cannot be told apart or matched."""
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms must have names of their own, but these are {', '.join(names)}")
        first = [arm.name for arm in self.arms if arm.equal_time_with is None]
        for arm in self.arms:
            if arm.equal_time_with is not None and arm.equal_time_with not in first:
                raise ValueError(
                    f"arm {arm.name!r} is to train as long as {arm.equal_time_with!r}: choose one of {', '.join(first)}"
                )

    def arm(self, name: str) -> Arm:
        """Finds an arm."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One arm of one seed, with everything that a worker process needs."""

    arm: Arm
    seed: int
    folder: Path
    study: Study
    machine: Machine


def change(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """Applies those changes whose fields a recipe has; a text-only arm has no fields of a visual loss."""
    for path, value in changes.items():
        parts = path.split(".")
        names = {name for stage in recipe.stages for name in stage.supervision}
        if "supervision" in parts and parts[parts.index("supervision") + 1] not in names:
            continue
        recipe = derive(recipe, {path: value})
    return recipe
