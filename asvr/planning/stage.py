"""What one conversation of a stage costs, and what a micro-batch of them takes: formulas joined part by part."""

import math

from torch import nn

from asvr.models.build import Vlm
from asvr.models.grids import visual_grid
from asvr.objective import Objective
from asvr.planning.batches import Batches
from asvr.planning.flops import (
    NOTHING,
    Flops,
    Head,
    blocks_flops,
    classifier_flops,
    head_flops,
    projector_flops,
    target_flops,
    tower_flops,
)
from asvr.planning.lengths import Lengths
from asvr.planning.memory import FLOAT, Memory, Share, Strategy, gathered, head_bytes, layer_bytes, states
from asvr.planning.parameters import held, let_go
from asvr.recipes.spec import Recipe, Stage
from asvr.training.adapter import adapted_layers


def stage_flops(stage: Stage, objective: Objective, lengths: Lengths) -> dict[str, Flops]:
    """Counts the floating-point operations of one conversation and of the unlabelled pictures that ride along.

    Args:
        stage: A stage of a recipe.
        objective: Its outline.
        lengths: Its average conversation.

    Returns:
        By part of the objective.
    """
    vlm, riding = objective.vlm, stage.companions
    assert isinstance(vlm, Vlm)
    pictures = lengths.pictures + riding
    crops = pictures * lengths.crops
    checkpointing = stage.gradient_checkpointing
    blocks = blocks_flops(vlm, lengths.tokens, checkpointing=checkpointing)
    # A companion is a sequence of its own: its picture and hardly more.
    alone = blocks_flops(vlm, float(lengths.visual), checkpointing=checkpointing) * riding
    positions = math.prod(visual_grid(objective.vlm.config))
    costs = {
        "vision tower": Flops(tower_flops(vlm) * crops),
        "projector": projector_flops(vlm, crops * positions),
        "language model": blocks + alone,
        "text classifier": classifier_flops(vlm, lengths.supervised),
    }
    for name, term in objective.terms():
        head = term.head
        assert isinstance(head, Head)
        made = target_flops(stage.supervision[name].target, term.target)
        costs[f"target {name}"] = Flops(made * crops) if made else NOTHING
        costs[f"head {name}"] = head_flops(head, term.fraction * pictures * lengths.shown)
    return costs


def stage_memory(
    recipe: Recipe,
    stage: Stage,
    objective: Objective,
    lengths: Lengths,
    batches: Batches,
    *,
    strategy: Strategy,
) -> Memory:
    """Counts the memory that a stage takes on each device.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        objective: Its outline.
        lengths: Its average conversation.
        batches: How its batches are cut.
        strategy: How devices share the work.
    """
    config, precision = objective.vlm.config.get_text_config(), recipe.precision
    share = shares(stage, objective)
    sequences, length = batches.micro_batch * (1 + stage.companions), math.ceil(lengths.tokens)
    layer = layer_bytes(objective.vlm.model.language_model, precision, batch=sequences, length=length)
    kept = FLOAT * sequences * length * config.hidden_size if stage.gradient_checkpointing else layer
    pictures = math.ceil(batches.micro_batch * (lengths.pictures + stage.companions))
    tokens = pictures * lengths.shown
    gpus, accumulation = batches.gpus, batches.accumulation
    return Memory(
        states=states(share, strategy, gpus=gpus, accumulation=accumulation, precision=precision),
        passing=gathered(share, strategy, gpus=gpus, precision=precision),
        inputs=float(kept * config.num_hidden_layers),
        heads=sum((head_bytes(term, config.hidden_size, tokens, precision) for _, term in objective.terms()), 0.0),
        layer=layer if stage.gradient_checkpointing else 0.0,
    )


def shares(stage: Stage, objective: Objective) -> Share:
    """Counts a stage's parameters by what sharding does with them."""
    parameters = [parameter for _, parameter in held(stage, objective)]
    layers = objective.vlm.model.language_model.layers
    blocks = [sum(each.numel() for each in block.parameters()) for block in layers]
    in_four_bits = stage.adapter is not None and stage.adapter.base == "nf4"
    bases = [layer.get_base_layer() for _, layer in adapted_layers(layers)]
    adapted = [base.weight.numel() for base in bases if isinstance(base, nn.Linear)]
    return Share(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        buffers=_buffers(stage, objective),
        block=blocks[0],
        blocks=sum(blocks),
        quantised=sum(adapted) if in_four_bits else 0,
    )


def _buffers(stage: Stage, objective: Objective) -> int:
    """Counts the numbers of buffers, each storage once: a head looks codes up in its tokenizer's own codebooks."""
    held_ones = [each for name, each in objective.named_buffers() if not name.startswith(let_go(stage))]
    storages = {each.untyped_storage()._cdata: each for each in held_ones}
    return sum(each.untyped_storage().nbytes() // each.element_size() for each in storages.values())
