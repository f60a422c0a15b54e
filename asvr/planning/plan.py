"""All that `asvr explain` says of a recipe, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from asvr.data.conversation import Conversation
from asvr.models.grids import visual_grid
from asvr.planning.batches import Batches, common_micro_batches, cut
from asvr.planning.flops import NOTHING, Flops
from asvr.planning.lengths import Lengths, stage_lengths
from asvr.planning.memory import Memory, Strategy
from asvr.planning.parameters import Part, Rate, parts, rates, stage_outline
from asvr.planning.stage import stage_flops, stage_memory
from asvr.recipes.spec import Recipe

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What a recipe is to run on.

    Args:
        gpus: How many.
        memory: Of each, in units of 2^30 bytes.
        strategy: How they share the work.
    """

    gpus: int = 8
    memory: float = 80.0
    strategy: Strategy = "fsdp"


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What one stage of a recipe takes.

    Args:
        name: Of the stage.
        parts: Parameters, part by part.
        rates: Peak learning rates.
        lengths: The average conversation.
        batches: Batches and steps.
        flops: Of one conversation, part by part.
        memory: Of each device.
    """

    name: str
    parts: tuple[Part, ...]
    rates: tuple[Rate, ...]
    lengths: Lengths
    batches: Batches
    flops: dict[str, Flops]
    memory: Memory

    @property
    def conversation_flops(self) -> Flops:
        """Of one conversation, all parts together."""
        return reduce(Flops.__add__, self.flops.values(), NOTHING)

    @property
    def step_flops(self) -> Flops:
        """Of one optimisation step on all devices."""
        return self.conversation_flops * self.batches.global_batch

    @property
    def total_flops(self) -> Flops:
        """Of the whole stage."""
        return self.conversation_flops * (self.lengths.records * self.batches.epochs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a recipe takes at its real size.

    Args:
        recipe: Its name.
        source: The row that it is.
        alignment: Which hidden state reconstructs a visual token.
        grid: Rows and columns of visual tokens of one crop.
        devices: What it is to run on.
        micro_batch: Conversations per device and forward pass, at most.
        stages: Each stage.
    """

    recipe: str
    source: str
    alignment: str
    grid: tuple[int, int]
    devices: Devices
    micro_batch: int
    stages: tuple[StagePlan, ...]

    @property
    def total_flops(self) -> Flops:
        """Of all stages."""
        return reduce(Flops.__add__, (stage.total_flops for stage in self.stages), NOTHING)

    @property
    def fits(self) -> bool:
        """Whether every stage fits into the devices' memory."""
        return all(stage.memory.total <= self.devices.memory * GIB for stage in self.stages)


def make_plan(
    recipe: Recipe,
    devices: Devices,
    *,
    micro_batch: int | None = None,
    given: Mapping[str, Sequence[Conversation]] | None = None,
) -> Plan:
    """Works out what a recipe takes.

    Args:
        recipe: What is to be trained.
        devices: What it is to run on.
        micro_batch: Conversations per device and forward pass; by default the most that fit, or 1.
        given: Conversations of stages, by their names; by default the data sets that the recipe names.

    Raises:
        ValueError: If a model's shape is not known, a part does not fit another, a batch cannot be cut, or adapters
            would be sharded.
    """
    if devices.gpus > 1 and devices.strategy != "ddp" and any(stage.adapter for stage in recipe.stages):
        raise ValueError(
            f"recipe {recipe.name!r} trains adapters, which are merged into whole weights: {devices.strategy} shards "
            "them, so use ddp"
        )
    given = given or {}
    size = micro_batch or _most_that_fit(recipe, devices, given)
    stages = []
    for stage in recipe.stages:
        objective = stage_outline(recipe, stage)
        lengths = stage_lengths(stage, objective.vlm.config, given.get(stage.name))
        batches = cut(stage, lengths.records, gpus=devices.gpus, micro_batch=size)
        stages.append(
            StagePlan(
                name=stage.name,
                parts=tuple(parts(stage, objective)),
                rates=tuple(rates(stage, objective)),
                lengths=lengths,
                batches=batches,
                flops=stage_flops(stage, objective, lengths),
                memory=stage_memory(recipe, stage, objective, lengths, batches, strategy=devices.strategy),
            )
        )
    return Plan(
        recipe=recipe.name,
        source=recipe.source,
        alignment=recipe.alignment,
        grid=visual_grid(objective.vlm.config),
        devices=devices,
        micro_batch=size,
        stages=tuple(stages),
    )


def _most_that_fit(recipe: Recipe, devices: Devices, given: Mapping[str, Sequence[Conversation]]) -> int:
    """Gives the largest micro-batch that every stage can be cut into and has memory for; else the smallest of all."""
    sizes = common_micro_batches(recipe.stages, devices.gpus)
    for stage in recipe.stages:
        objective = stage_outline(recipe, stage)
        lengths = stage_lengths(stage, objective.vlm.config, given.get(stage.name))
        while len(sizes) > 1:
            batches = cut(stage, lengths.records, gpus=devices.gpus, micro_batch=sizes[0])
            memory = stage_memory(recipe, stage, objective, lengths, batches, strategy=devices.strategy)
            if memory.total <= devices.memory * GIB:
                break
            sizes = sizes[1:]
    return sizes[0]
