"""What an arm costs: parameters of its heads, and the FLOPs of a training step as torch counts them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Size, Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from asvr.data.collate import Collator
from asvr.data.dataset import Source, load_source
from asvr.objective import Objective
from asvr.recipes.spec import Recipe
from asvr.studies.stand_in_data import stand_in_data
from asvr.training.freeze import set_trainable
from asvr.training.prepare import build_dataset
from asvr.training.stage import build_objective

COSTS = "costs.json"


def _attention(query: Size, key: Size, value: Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: Size, query: Size, key: Size, value: Size, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


UNCOUNTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Kernels that torch's counter leaves out."""


@dataclass(frozen=True)
class Costs:
    """What a step of an arm's last stage takes.

    Args:
        head_parameters: Parameters of the heads, which no answer needs.
        step_flops: FLOPs of forward and backward pass over one batch, two per multiplication with its addition.
    """

    head_parameters: int
    step_flops: float


def costs_of(recipe: Recipe, parts: Path, folder: Path) -> Costs:
    """Gives the costs of a shrunk recipe; they are counted once and kept in the arm's folder.

    Args:
        recipe: The shrunk recipe.
        parts: Folder of the stand-ins.
        folder: The arm's folder.
    """
    kept = folder / COSTS
    if kept.is_file():
        return Costs(**json.loads(kept.read_text()))
    objective, batch = training_step(recipe, parts)
    costs = Costs(_head_parameters(recipe, objective), count_flops(objective, batch))
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(costs)) + "\n")
    return costs


def count_flops(objective: Objective, batch: dict[str, Tensor]) -> float:
    """Counts the FLOPs of a forward and a backward pass while they run."""
    with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        objective(**batch)["loss"].backward()
    return float(counter.get_total_flops())


def _head_parameters(recipe: Recipe, last: Objective) -> int:
    """Counts the heads of the last stage that has any; an arm may have them in pre-training alone."""
    stage = next((stage for stage in reversed(recipe.stages) if stage.supervision), recipe.stages[-1])
    objective = last if stage == recipe.stages[-1] else build_objective(recipe, stage, None, seed=0)[0]
    heads = [term.head for _, term in objective.terms()]
    return sum(parameter.numel() for head in heads for parameter in head.parameters())  # type: ignore[attr-defined]


def training_step(recipe: Recipe, parts: Path) -> tuple[Objective, dict[str, Tensor]]:
    """Builds what the last stage of a shrunk recipe trains, and its first batch."""
    return training_step_on(recipe, stand_in_data(recipe, parts)[recipe.stages[-1].name][0])


def training_step_on(recipe: Recipe, source: Source) -> tuple[Objective, dict[str, Tensor]]:
    """Builds what the last stage of a recipe trains, and a batch of a source's first records."""
    stage = recipe.stages[-1]
    objective, processor = build_objective(recipe, stage, None, seed=0)
    set_trainable(objective, stage.trainable)
    conversations = load_source(source)[: stage.optimisation.batch_size]
    dataset = build_dataset(stage, objective, processor, conversations=conversations, companions=[], seed=0)
    collate = Collator.for_tokenizer(processor.tokenizer)
    torch.manual_seed(0)
    return objective.train(), collate([dataset[index] for index in range(len(conversations))])
