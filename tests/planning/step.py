"""One real optimisation step of a shrunk recipe, and what its planning says of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asvr.objective import Objective
from asvr.planning.lengths import Lengths
from asvr.planning.parameters import stage_outline
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import CodesSpec, TargetSpec
from asvr.training.freeze import set_trainable
from asvr.training.stage import build_objective
from tests.parts import shrink

LENGTH, VISUAL, SUPERVISED, DEPTH = 17, 4, 5, 3


@dataclass(frozen=True)
class Step:
    """A stage in the flesh, its outline, a batch of one conversation with one picture, and the batch's lengths."""

    recipe: Recipe
    stage: Stage
    real: Objective
    outline: Objective
    batch: dict[str, Any]
    lengths: Lengths


def make_step(name: str, stage_name: str, parts: Path, **changes: str) -> Step:
    recipe = shrink(name, parts, **changes)
    stage = recipe.stage(stage_name)
    real, _ = build_objective(recipe, stage, None, seed=0)
    set_trainable(real, stage.trainable)
    torch.manual_seed(0)
    ids = torch.randint(10, 100, (1, LENGTH))
    image_token = real.vlm.config.image_token_id
    ids[0, 2 : 2 + VISUAL] = image_token
    labels = torch.full((1, LENGTH), -100)
    labels[0, -SUPERVISED:] = ids[0, -SUPERVISED:]
    targets = {name: prepared(term.target) for name, term in stage.supervision.items()}
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "visual_mask": ids == image_token,
        "pixel_values": torch.rand(1, 3, 24, 24),
        "targets": targets,
    }
    lengths = Lengths(1, 1.0, 1, VISUAL, VISUAL, float(LENGTH - VISUAL), float(SUPERVISED), {})
    return Step(recipe, stage, real.train(), stage_outline(recipe, stage), batch, lengths)


def prepared(target: TargetSpec) -> torch.Tensor:
    """What the target encoder of a spec gets of one picture: its codes, nothing, or its pixels."""
    if isinstance(target, CodesSpec) and target.cache is not None:
        return torch.zeros(1, VISUAL, DEPTH, dtype=torch.int32)
    return torch.empty(1, 0) if target.reads_tower else torch.rand(1, 3, 24, 24)
