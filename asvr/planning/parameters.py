"""How many parameters a recipe's stage has, part by part, and which of them train."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from asvr.objective import Objective
from asvr.planning.outline import outline_objective, outline_once
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import CodesSpec, TargetSpec
from asvr.training.adapter import outline_adapter
from asvr.training.freeze import set_trainable
from asvr.training.groups import check_groups, group_of

VLM_PARTS = {
    "vision tower": "vlm.model.vision_tower.",
    "projector": "vlm.model.multi_modal_projector.",
    "end of a row": "vlm.model.image_newline",
    "language model": "vlm.model.language_model.",
    "text classifier": "vlm.lm_head.",
}
"""Parts of the vision-language model by the prefix of their parameters' names in the objective."""


@dataclass(frozen=True)
class Part:
    """A part of what a stage trains.

    Args:
        name: What it is.
        prefix: Prefix of its parameters' names in the objective.
        parameters: How many it has.
        trained: How many of them train.
    """

    name: str
    prefix: str
    parameters: int
    trained: int


@dataclass(frozen=True)
class Rate:
    """A peak learning rate and what has it.

    Args:
        group: Name of the parameter group; empty for the stage's own rate.
        parameters: How many trained parameters have it.
        learning_rate: The rate.
    """

    group: str
    parameters: int
    learning_rate: float


def stage_outline(recipe: Recipe, stage: Stage) -> Objective:
    """Makes what a stage trains, at its real size and without weights, with exactly its own parameters set to train.

    The objective shares the model with every other outline of the same model, so it is to be used before another one.

    Raises:
        ValueError: If the model, a target, a prefix of `trainable` or a group of learning rates does not fit.
    """
    vlm = outline_once(recipe.model)
    if stage.adapter is not None:
        vlm = outline_adapter(vlm, stage.adapter)
    objective = outline_objective(recipe, stage, vlm)
    set_trainable(objective, stage.trainable)
    check_groups(objective, stage.optimisation)
    return objective


def held(stage: Stage, objective: Objective) -> Iterator[tuple[str, nn.Parameter]]:
    """Gives the parameters that a run holds, by name: all but those under `let_go`."""
    without = let_go(stage)
    for name, parameter in objective.named_parameters():
        if not name.startswith(without):
            yield name, parameter


def let_go(stage: Stage) -> tuple[str, ...]:
    """Gives prefixes of the names of what lies in targets' folders and a run does not hold.

    Codes out of a cache need their codebooks alone, those that are read off the model's own tower also the block before
    quantisation.
    """
    parts = []
    for name, spec in stage.supervision.items():
        if spec.target.reads_tower:
            parts += [f"{name}.target.{part}." for part in ("features", "post", "decoder")]
        elif has_no_tower(spec.target):
            parts += [f"{name}.target.{part}." for part in ("features", "pre", "post", "decoder")]
    return tuple(f"supervision.{part}" for part in parts)


def has_no_tower(spec: TargetSpec) -> bool:
    """Whether no network of their own makes the targets: they are read off the model's, or out of a cache."""
    return spec.reads_tower or (isinstance(spec, CodesSpec) and spec.cache is not None)


def parts(stage: Stage, objective: Objective) -> list[Part]:
    """Counts the parameters of each part that has any."""
    prefixes = dict(VLM_PARTS)
    for name in stage.supervision:
        prefixes |= {f"head {name}": f"supervision.{name}.head.", f"target {name}": f"supervision.{name}.target."}
    counted = []
    for name, prefix in prefixes.items():
        found = [parameter for key, parameter in held(stage, objective) if key.startswith(prefix)]
        if found:
            trained = sum(parameter.numel() for parameter in found if parameter.requires_grad)
            counted.append(Part(name, prefix, sum(parameter.numel() for parameter in found), trained))
    return counted


def rates(stage: Stage, objective: Objective) -> list[Rate]:
    """Counts the trained parameters of each peak learning rate, the stage's own first."""
    optimisation = stage.optimisation
    counts: dict[str, int] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            group = group_of(name, optimisation.groups)
            key = group.name if group else ""
            counts[key] = counts.get(key, 0) + parameter.numel()
    peak = {"": optimisation.learning_rate} | {group.name: group.learning_rate for group in optimisation.groups}
    return [Rate(name, counts[name], rate) for name, rate in peak.items() if name in counts]
