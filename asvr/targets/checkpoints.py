"""Published checkpoints by name: a vision tower, or the vision half of whatever holds one, and its image processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DINOv3ViTConfig,
    PretrainedConfig,
    PreTrainedModel,
    Siglip2Config,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipConfig,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTImageProcessorPil,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import logging

from asvr.targets.preparing import load_image_processor

EMBEDDED = {
    "embedded:tower": Path(__file__).parents[1] / "world" / "assets" / "tower",
    "embedded:language-model": Path(__file__).parents[1] / "world" / "assets" / "language_model",
}
"""Models that ship with the package, by the name a recipe calls them; every other name is the hub's or a folder's."""

VISION_HALVES: dict[type[PretrainedConfig], type[PreTrainedModel]] = {
    SiglipVisionConfig: SiglipVisionModel,
    Siglip2VisionConfig: Siglip2VisionModel,
    CLIPVisionConfig: CLIPVisionModel,
}
"""Vision towers that are published beside a text tower, by the class of their configuration."""


def resolve(name: str) -> str:
    """Gives what `from_pretrained` takes for a model's name in a recipe.

    Raises:
        FileNotFoundError: If the name looks like a folder (it starts with `.`, `/` or `~`) and there is none.
    """
    if name in EMBEDDED:
        return str(EMBEDDED[name])
    path = Path(name).expanduser()
    if name[:1] in ("/", ".", "~") and not path.is_dir():
        raise FileNotFoundError(f"no model folder {name}: give an existing folder, or a name on the Hugging Face hub")
    return str(path) if path.is_dir() else name


@contextmanager
def _quietly() -> Iterator[None]:
    # transformers warns of the text tower's token ids, and reports its weights as a fault: it is left out on purpose.
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@_quietly()
def load_tower_config(name: str) -> PretrainedConfig:
    """Loads the configuration of a checkpoint's vision tower, without its weights."""
    config = AutoConfig.from_pretrained(resolve(name))
    if isinstance(config, (SiglipConfig, Siglip2Config, CLIPConfig)):
        assert isinstance(config.vision_config, PretrainedConfig)
        return config.vision_config
    if isinstance(config, DepthAnythingConfig):
        assert isinstance(config.backbone_config, PretrainedConfig)
        return config.backbone_config
    return config


@_quietly()
def load_tower(name: str) -> PreTrainedModel:
    """Loads a vision tower in fp32: of a checkpoint with a text tower its vision half, of Depth Anything its encoder.

    Raises:
        ValueError: If the checkpoint lacks some of the tower's weights.
    """
    source, config = resolve(name), load_tower_config(name)
    if isinstance(AutoConfig.from_pretrained(source), DepthAnythingConfig):
        return _depth_encoder(source, config)
    return _load(VISION_HALVES.get(type(config), AutoModel), source)


def _load(model_class: type[Any], source: str) -> PreTrainedModel:
    model, info = model_class.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
    # These have been drawn at random.
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise ValueError(
            f"{source} lacks {len(missing)} weight(s) of a {type(model).__name__}, such as {missing[0]}: download it "
            "again, or choose the checkpoint of a vision tower"
        )
    return model


def _depth_encoder(source: str, config: PretrainedConfig) -> PreTrainedModel:
    """Takes the encoder out of Depth Anything; as a model of its own it is a stock DINOv2, saved and loaded as such."""
    depth = _load(DepthAnythingForDepthEstimation, source)
    with torch.device("meta"):
        encoder = AutoModel.from_config(config)
    encoder.load_state_dict(depth.get_submodule("backbone").state_dict(), assign=True)
    return encoder.eval()


@_quietly()
def load_tower_processor(name: str) -> BaseImageProcessor:
    """Loads the image processor of a checkpoint with a vision tower, in a form that needs no torchvision.

    DINOv3's own exists only for torchvision; its PIL form has the same values, and differs by rounding pixels to 8 bits
    after resizing them, not before.
    """
    if isinstance(load_tower_config(name), DINOv3ViTConfig):
        return ViTImageProcessorPil.from_pretrained(resolve(name))
    return load_image_processor(resolve(name))
