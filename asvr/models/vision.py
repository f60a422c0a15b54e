"""The vision tower of a vision-language model, as its visual input asks for it."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.models.discrete_input import DiscreteTower, DiscreteTowerConfig
from asvr.models.from_tokenizer import discrete_config, load_discrete_tower
from asvr.models.multiscale import MultiScaleTower, MultiScaleTowerConfig
from asvr.models.visual_input import AnyResInput, ContinuousInput, DiscreteInput, MultiScaleInput, VisualInput
from asvr.targets.checkpoints import load_tower, load_tower_config, load_tower_processor
from asvr.targets.preparing import load_image_processor
from asvr.targets.squaring import squared


def load_input_tower(vision_tower: str, visual_input: VisualInput, feature_layer: int = -2) -> PreTrainedModel:
    """Loads the tower that becomes a model's `vision_tower`.

    Args:
        vision_tower: Hub name, folder or embedded name of a stock tower.
        visual_input: How pictures enter the language model.
        feature_layer: Which hidden state of the stock tower is meant.

    Raises:
        ValueError: If the visual input is of a tokenizer of other features.
    """
    match visual_input:
        case ContinuousInput() | AnyResInput():
            return load_tower(vision_tower)
        case DiscreteInput(tokenizer=tokenizer):
            return load_discrete_tower(tokenizer, load_tower_config(vision_tower), feature_layer)
        case MultiScaleInput():
            inner = load_tower(vision_tower)
            with torch.device("meta"):
                made = MultiScaleTower(_multiscale_config(inner.config, visual_input, feature_layer))
            made.tower = inner
            return made.eval()


def load_input_config(vision_tower: str, visual_input: VisualInput, feature_layer: int = -2) -> PretrainedConfig:
    """Gives the configuration of what `load_input_tower` loads, without weights; it raises the same."""
    tower = load_tower_config(vision_tower)
    match visual_input:
        case ContinuousInput() | AnyResInput():
            return tower
        case DiscreteInput(tokenizer=tokenizer):
            return discrete_config(tokenizer, tower, feature_layer)
        case MultiScaleInput():
            return _multiscale_config(tower, visual_input, feature_layer)


def load_input_processor(vision_tower: str, visual_input: VisualInput) -> BaseImageProcessor:
    """Loads the image processor that prepares pictures for that tower: of discrete input the tokenizer's own."""
    match visual_input:
        case ContinuousInput() | AnyResInput():
            return load_tower_processor(vision_tower)
        case DiscreteInput(tokenizer=tokenizer):
            return load_image_processor(tokenizer)
        case MultiScaleInput():
            config = _multiscale_config(load_tower_config(vision_tower), visual_input, -1)
            return squared(load_tower_processor(vision_tower), config.image_size)


def _multiscale_config(tower: PretrainedConfig, visual_input: MultiScaleInput, layer: int) -> MultiScaleTowerConfig:
    return MultiScaleTowerConfig(tower_config=tower, scales=visual_input.scales, feature_layer=layer)


def layer_for_llava(tower: PretrainedConfig, feature_layer: int) -> int:
    """Says which hidden state LLaVA must take: towers of ours take the layer themselves, and give one hidden state."""
    return -1 if isinstance(tower, (DiscreteTowerConfig, MultiScaleTowerConfig)) else feature_layer


def inner_tower(vision_tower: nn.Module) -> nn.Module:
    """Gives the stock tower whose features of the whole picture a target may share."""
    return vision_tower.tower if isinstance(vision_tower, (DiscreteTower, MultiScaleTower)) else vision_tower
