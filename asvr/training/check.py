"""Checks every stage, image and conversation before the first stage trains."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import torch
from transformers import PretrainedConfig

from asvr.data.conversation import Conversation
from asvr.data.dataset import token_report
from asvr.data.packing import rows_of
from asvr.data.template import Encoded
from asvr.models.build import Vlm, VlmProcessor, outline_vlm
from asvr.models.grids import visual_grid
from asvr.objective import Objective, Supervision
from asvr.recipes.spec import Recipe, Stage
from asvr.targets.checkpoints import load_tower
from asvr.targets.towers import fingerprint
from asvr.training.adapter import outline_adapter
from asvr.training.check_input import check_input_tower, check_shared_layer, check_tower_trains
from asvr.training.check_pictures import check_pictures
from asvr.training.check_target import check_grid, check_layer, check_own_tower, check_view
from asvr.training.draft import draft_size
from asvr.training.freeze import set_trainable
from asvr.training.groups import check_groups
from asvr.training.kernels import use_kernels
from asvr.training.prepare import build_encoder
from asvr.training.stage import Machine, StageInputs, end_token_id

log = logging.getLogger(__name__)


def check_inputs(
    recipe: Recipe,
    inputs: dict[str, StageInputs],
    *,
    machine: Machine,
    skip_bad: bool,
    on_skip: Callable[[str], None],
) -> dict[str, StageInputs]:
    """Finds in seconds to minutes what would otherwise stop a run after hours.

    Args:
        recipe: What is to be trained.
        inputs: Conversations of the stages that are still to train, by the stage's name.
        machine: How the run is laid out; says whether images are opened.
        skip_bad: Leave out records that cannot be used instead of stopping at the first one.
        on_skip: Called with the reason for each record left out.

    Returns:
        The inputs that can be trained on, with the counts of their tokens.

    Raises:
        ValueError: If a stage, an image or a conversation cannot be trained on.
    """
    vlm, processor = outline_vlm(
        recipe.model.language_model,
        recipe.model.vision_tower,
        feature_layer=recipe.model.feature_layer,
        visual_input=recipe.model.visual_input,
    )
    stages = [stage for stage in recipe.stages if stage.name in inputs]
    _check_recipe(recipe, stages, vlm, processor, machine)
    faults = {}
    if machine.check_images:
        grid = visual_grid(vlm.config)
        faults = check_pictures(recipe, inputs, grid, progress=machine.progress, skip_bad=skip_bad)
    checked = {}
    for stage in stages:
        encode = build_encoder(stage, vlm.config, processor)
        given = inputs[stage.name]
        if skip_bad:
            given = replace(
                given,
                conversations=_usable(given.conversations, faults, encode, on_skip),
                companions=_usable(given.companions, faults, encode, on_skip),
            )
        if not given.conversations:
            raise ValueError(f"stage {stage.name!r}: no record can be used; read it without --skip-bad to see why")
        for companion in given.companions:
            encode(companion)
        tokens, lengths = token_report(given.conversations, encode)
        checked[stage.name] = replace(given, tokens=tokens, lengths=lengths)
        log.info("%s: %s", stage.name, in_words(checked[stage.name].tokens))
    return checked


def _check_recipe(recipe: Recipe, stages: Sequence[Stage], vlm: Vlm, processor: VlmProcessor, machine: Machine) -> None:
    """Checks what can be checked without data."""
    use_kernels(vlm.model.language_model, machine, precision=recipe.precision)
    if machine.pack:
        rows_of(machine.attention)
    check_feature_layer(recipe, vlm)
    tower = cache(lambda: fingerprint(load_tower(recipe.model.vision_tower)))
    check_input_tower(recipe.model.visual_input, tower)
    for stage in stages:
        machine.accumulation(stage.optimisation.batch_size)
        end_token_id(processor, stage.template)
        check_stage(recipe, stage, vlm, tower, processor)


def check_feature_layer(recipe: Recipe, vlm: Vlm) -> None:
    """Refuses a layer that the vision tower does not have.

    Raises:
        ValueError: If the recipe names one.
    """
    tower = vlm.config.vision_config
    assert isinstance(tower, PretrainedConfig)
    num_states, layer = tower.num_hidden_layers + 1, recipe.model.feature_layer
    if not -num_states <= layer < num_states:
        raise ValueError(
            f"model.feature_layer is {layer}, but the vision tower has {num_states} hidden states: choose -2, the "
            "paper's"
        )


def check_stage(
    recipe: Recipe,
    stage: Stage,
    vlm: Vlm,
    tower: Callable[[], str],
    processor: VlmProcessor,
) -> dict[str, int]:
    """Checks a stage's tokenizers and trained parameters against a model without weights.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        vlm: The recipe's model on the meta device.
        tower: Gives the fingerprint of its vision tower.
        processor: The model's processor.

    Returns:
        Number of trained parameters under each prefix.

    Raises:
        ValueError: If a tokenizer does not fit the model, a prefix trains nothing, or drafts have no one size.
    """
    supervision = {}
    for name, spec in stage.supervision.items():
        target = spec.target.load(visual_grid(vlm.config))
        check_grid(name, spec, target, vlm.config)
        check_view(name, spec, target, processor)
        check_layer(name, spec, vlm.config)
        if spec.target.own_tower:
            field = f"stages.{stage.name}.supervision.{name}.target"
            check_own_tower(field, target, tower, processor)
            check_shared_layer(field, target, vlm.config)
        with torch.device("meta"):
            head = spec.head.build(vlm.config.get_text_config().hidden_size, target)
        supervision[name] = Supervision(target, head, spec.weight, spec.layer, fraction=spec.fraction)
    draft_size(stage.draft, processor.image_processor, [term.target.prepare for term in supervision.values()])
    vlm = outline_adapter(vlm, stage.adapter)
    objective = Objective(vlm, supervision, recipe.alignment)
    trained = set_trainable(objective, stage.trainable)
    check_groups(objective, stage.optimisation)
    check_tower_trains(recipe.model.visual_input, stage, vlm)
    own = [name for name, spec in stage.supervision.items() if spec.target.reads_tower]
    if own and any(parameter.requires_grad for parameter in vlm.model.vision_tower.parameters()):
        raise ValueError(
            f"stage {stage.name!r} trains the vision tower whose features are the targets of {', '.join(own)}: they "
            "would move. Leave the tower out of `trainable`, or set target.own_tower=false"
        )
    return trained


def _usable(
    conversations: Sequence[Conversation],
    faults: dict[str, str],
    encode: Callable[[Conversation], Encoded],
    on_skip: Callable[[str], None],
) -> list[Conversation]:
    usable = []
    for one in conversations:
        fault = next((faults[path] for path in one.images if path in faults), None)
        try:
            if fault is not None:
                raise ValueError(f"record {one.id!r}: {fault}")
            encode(one)
        except ValueError as error:
            on_skip(str(error))
        else:
            usable.append(one)
    return usable


def in_words(tokens: Mapping[str, int | str]) -> str:
    """Writes the counts of `token_report` as a line for the log."""
    counts = {name: figure for name, figure in tokens.items() if name not in ("longest_sample", "longest_id")}
    listed = ", ".join(f"{figure:,} {name.replace('_', ' ')}" for name, figure in counts.items())
    return f"{listed}; the longest sample has {tokens['longest_sample']} tokens ({tokens['longest_id']})"
