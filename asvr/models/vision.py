"""The vision tower of a vision-language model, as its visual input asks for it."""

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.models.visual_input import VisualInput
from asvr.targets.checkpoints import load_tower, load_tower_config, load_tower_processor


def load_input_tower(vision_tower: str, visual_input: VisualInput) -> PreTrainedModel:
    """Loads the tower that becomes a model's `vision_tower`."""
    return load_tower(vision_tower)


def load_input_config(vision_tower: str, visual_input: VisualInput) -> PretrainedConfig:
    """Gives the configuration of what `load_input_tower` loads, without weights."""
    return load_tower_config(vision_tower)


def load_input_processor(vision_tower: str, visual_input: VisualInput) -> BaseImageProcessor:
    """Loads the image processor that prepares pictures for that tower."""
    return load_tower_processor(vision_tower)


def inner_tower(vision_tower: nn.Module) -> nn.Module:
    """Gives the stock tower whose features of the whole picture a target may share."""
    return vision_tower
