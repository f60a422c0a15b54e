"""A recipe's model at its real size without weights, tokenizer or network, on the meta device."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig

from asvr.heads.depth_transformer import checkpoint_heads
from asvr.models.build import IMAGE_TOKEN, Vlm, empty_vlm, vlm_config
from asvr.models.discrete_input import DiscreteTowerConfig
from asvr.models.from_tokenizer import discrete_config
from asvr.models.multiscale import MultiScaleTowerConfig
from asvr.models.published import LANGUAGE_MODELS, TOWERS, grown
from asvr.models.visual_input import AnyResInput, ContinuousInput, DiscreteInput, MultiScaleInput
from asvr.objective import Objective, Supervision
from asvr.planning.nominal import outline_target
from asvr.recipes.spec import ModelSpec, Recipe, Stage
from asvr.targets.checkpoints import EMBEDDED, load_tower_config, resolve


def outline(model: ModelSpec) -> Vlm:
    """Makes the stock model that a recipe names, without weights.

    Folders and embedded models are read; the shapes of published models are known (`asvr.models.published`), so that
    the hub is not asked. A tokenizer of discrete input that is not there yet is taken to have the paper's shape.

    Raises:
        ValueError: If a name is no folder and its shape is not known.
    """
    text, tower = language_config(model.language_model), tower_config(model.vision_tower)
    layer = model.feature_layer
    match model.visual_input:
        case ContinuousInput() | AnyResInput():
            seen = tower
        case DiscreteInput(tokenizer=tokenizer) if Path(tokenizer).is_dir():
            seen = discrete_config(tokenizer, tower, layer)
        case DiscreteInput():
            seen = DiscreteTowerConfig(tower_config=tower, feature_layer=layer)
        case MultiScaleInput(scales=scales):
            seen = MultiScaleTowerConfig(tower_config=tower, scales=scales, feature_layer=layer)
    last = text.vocab_size - 1
    return empty_vlm(vlm_config(text, seen, image_token_id=last, feature_layer=layer, visual_input=model.visual_input))


outline_once = cache(outline)
"""`outline`, once for each model; for those who leave the model's modules as they are."""


def outline_objective(recipe: Recipe, stage: Stage, vlm: Vlm) -> Objective:
    """Wraps a recipe's outlined model with the outlined visual losses of a stage; errors are those of its parts."""
    supervision = {}
    for name, spec in stage.supervision.items():
        target = outline_target(spec.target, vlm)
        with torch.device("meta"):
            head = spec.head.build(vlm.config.get_text_config().hidden_size, target)
        supervision[name] = Supervision(target, head, spec.weight, spec.layer, fraction=spec.fraction)
        if stage.gradient_checkpointing:
            checkpoint_heads(supervision[name])
    return Objective(vlm, supervision, recipe.alignment)


def language_config(name: str) -> PretrainedConfig:
    """Gives the configuration of a language model with its embeddings grown for the tokens that training adds.

    Raises:
        ValueError: If the name is no folder and its shape is not known.
    """
    if name in LANGUAGE_MODELS:
        config, rows = deepcopy(LANGUAGE_MODELS[name].config), LANGUAGE_MODELS[name].rows
    else:
        source = local("model.language_model", name, LANGUAGE_MODELS)
        config, tokenizer = AutoConfig.from_pretrained(source), AutoTokenizer.from_pretrained(source)
        added = (tokenizer.pad_token is None) + (IMAGE_TOKEN not in tokenizer.get_vocab())
        rows = grown(config.vocab_size, len(tokenizer) + added)
    config.vocab_size = rows
    return config


def tower_config(name: str) -> PretrainedConfig:
    """Gives the configuration of a vision tower.

    Raises:
        ValueError: If the name is no folder and its shape is not known.
    """
    return deepcopy(TOWERS[name]) if name in TOWERS else load_tower_config(local("model.vision_tower", name, TOWERS))


def local(field: str, name: str, known: dict) -> str:
    """Gives the folder of a model that is here.

    Raises:
        ValueError: If there is none.
    """
    if name not in EMBEDDED and not Path(name).expanduser().is_dir():
        raise ValueError(
            f"{field}: the shape of {name!r} is not known here, and the hub is not asked for it: give a local folder "
            f"by --set {field}=FOLDER, or one of {', '.join(known)}"
        )
    return resolve(name)
