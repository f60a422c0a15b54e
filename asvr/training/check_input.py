"""Checks that the vision tower and what a recipe makes of its features belong together."""

from collections.abc import Callable

from transformers import PretrainedConfig

from asvr.models.build import Vlm
from asvr.models.discrete_input import DiscreteTowerConfig
from asvr.models.from_tokenizer import check_same_tower
from asvr.models.multiscale import MultiScaleTowerConfig
from asvr.models.visual_input import DiscreteInput, VisualInput
from asvr.recipes.spec import Stage
from asvr.targets.cache import CachedCodes
from asvr.targets.towers import TowerFeatures
from asvr.training.check_target import Loaded


def check_input_tower(visual_input: VisualInput, tower: Callable[[], str]) -> None:
    """Refuses discrete input whose tokenizer was fitted on another tower than the recipe's.

    Args:
        visual_input: The recipe's.
        tower: Gives the fingerprint of the recipe's vision tower.

    Raises:
        ValueError: If it was.
    """
    if isinstance(visual_input, DiscreteInput):
        check_same_tower(visual_input.tokenizer, tower())


def check_shared_layer(field: str, target: Loaded, config: PretrainedConfig) -> None:
    """Refuses targets of a layer that the model does not compute for itself: transformers keeps that one alone.

    Args:
        field: Path of the target in the recipe, for the error.
        target: Targets that are to be read off the model's own tower; cached ones are not.
        config: The model's.

    Raises:
        ValueError: If they are of another layer.
    """
    if isinstance(target, CachedCodes) or not isinstance(target.features, TowerFeatures):
        return
    tower, layer = config.vision_config, config.vision_feature_layer
    if isinstance(tower, (DiscreteTowerConfig, MultiScaleTowerConfig)):
        layer = tower.feature_layer
    num_states = tower.num_hidden_layers + 1
    if {one % num_states for one in target.features.layers} != {layer % num_states}:
        raise ValueError(
            f"{field}: its features are of layer {target.features.layer} of the vision tower, but the model reads "
            f"layer {layer} alone: set {field}.own_tower=false, which runs a second tower, or model.feature_layer to it"
        )


def check_tower_trains(visual_input: VisualInput, stage: Stage, vlm: Vlm) -> None:
    """Refuses a stage that trains a vision tower which no gradient reaches.

    Args:
        visual_input: The recipe's.
        stage: One of its stages.
        vlm: The recipe's model, with `requires_grad` set as the stage trains it.

    Raises:
        ValueError: If the input is discrete and the stage trains the tower.
    """
    if isinstance(visual_input, DiscreteInput) and any(p.requires_grad for p in vlm.model.vision_tower.parameters()):
        raise ValueError(
            f"stage {stage.name!r} trains the vision tower, but discrete visual input lets no gradient through to it: "
            "leave the tower out of `trainable`"
        )
