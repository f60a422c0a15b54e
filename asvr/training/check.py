"""Checks every stage, image and conversation before the first stage trains."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from rich.progress import Progress
from transformers import LlavaForConditionalGeneration, PretrainedConfig

from asvr.data.conversation import Conversation
from asvr.data.dataset import token_report
from asvr.data.images import open_image
from asvr.data.template import Encoded
from asvr.models.build import load_tower, outline_vlm
from asvr.objective import Objective, Supervision
from asvr.recipes.spec import Recipe, Stage
from asvr.targets.towers import fingerprint
from asvr.training.freeze import set_trainable
from asvr.training.prepare import build_encoder, check_grid
from asvr.training.stage import Machine, StageInputs

IMAGES_AT_ONCE = 1024

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
        recipe.model.language_model, recipe.model.vision_tower, feature_layer=recipe.model.feature_layer
    )
    check_feature_layer(recipe, vlm)
    stages = [stage for stage in recipe.stages if stage.name in inputs]
    tower = cache(lambda: fingerprint(load_tower(recipe.model.vision_tower)))
    for stage in stages:
        machine.accumulation(stage.optimisation.batch_size)
        check_stage(recipe, stage, vlm, tower)
    faults = _faulty_images(inputs.values(), machine, skip_bad) if machine.check_images else {}
    checked = {}
    for stage in stages:
        encode = _checked(recipe, stage, build_encoder(stage, vlm.config, processor))
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
        checked[stage.name] = replace(given, tokens=token_report(given.conversations, encode))
        log.info("%s: %s", stage.name, in_words(checked[stage.name].tokens))
    return checked


def check_feature_layer(recipe: Recipe, vlm: LlavaForConditionalGeneration) -> None:
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
    recipe: Recipe, stage: Stage, vlm: LlavaForConditionalGeneration, tower: Callable[[], str]
) -> dict[str, int]:
    """Checks a stage's tokenizers and trained parameters against a model without weights.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        vlm: The recipe's model on the meta device.
        tower: Gives the fingerprint of its vision tower.

    Returns:
        Number of trained parameters under each prefix.

    Raises:
        ValueError: If a tokenizer has another grid or is of another tower, or a prefix trains nothing.
    """
    supervision = {}
    for name, spec in stage.supervision.items():
        target = spec.target.build()
        check_grid(name, spec, target, vlm.config)
        if spec.target.own_tower and target.tower_sha256 != tower():
            raise ValueError(
                f"supervision {name!r}: the tokenizer {spec.target.tokenizer} was fitted on another vision tower than "
                "the model's: fit one with `asvr tokenizer fit --tower ...`, or set "
                f"stages.{stage.name}.supervision.{name}.target.own_tower=false if the difference is meant"
            )
        with torch.device("meta"):
            head = spec.head.build(vlm.config.get_text_config().hidden_size, target)
        supervision[name] = Supervision(target, head, spec.weight)
    return set_trainable(Objective(vlm, supervision, recipe.alignment), stage.trainable)


def _faulty_images(inputs: Iterable[StageInputs], machine: Machine, skip_bad: bool) -> dict[str, str]:
    """Opens each image once; gives what is wrong by path, or raises at the first fault."""
    shown_by: dict[str, str] = {}
    for given in inputs:
        for one in (*given.conversations, *given.companions):
            for path in one.images:
                shown_by.setdefault(path, one.id)
    paths, faults = list(shown_by), {}
    with ThreadPoolExecutor() as pool, Progress(transient=True, disable=not machine.progress) as progress:
        task = progress.add_task("opening images", total=len(paths))
        for start in range(0, len(paths), IMAGES_AT_ONCE):
            part = paths[start : start + IMAGES_AT_ONCE]
            for path, fault in zip(part, pool.map(lambda path: _fault(path, shown_by[path]), part), strict=True):
                progress.advance(task)
                if fault is not None and not skip_bad:
                    raise fault
                faults |= {} if fault is None else {path: str(fault)}
    return faults


def _fault(path: str, record: str) -> ValueError | None:
    try:
        open_image(Path(path), record=record)
    except ValueError as error:
        return error
    return None


def _checked(
    recipe: Recipe, stage: Stage, encode: Callable[[Conversation], Encoded]
) -> Callable[[Conversation], Encoded]:
    """Encodes, and refuses what the objective would refuse in the middle of an epoch."""

    def checked(conversation: Conversation) -> Encoded:
        encoded = encode(conversation)
        if stage.supervision and recipe.alignment == "next" and encoded.visual_mask[0]:
            raise ValueError(
                f"conversation {conversation.id!r} begins with an image, and alignment=next predicts a visual token "
                "from the token before it: use a language model whose tokenizer has a bos_token, or --set "
                "alignment=same"
            )
        return encoded

    return checked


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
