"""Features of a vision tower's inner layers: the semantic targets."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    AutoModel,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    PretrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
)
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.features import patch_grid
from asvr.targets.preparing import ImagePreparer, load_image_processor

Layers = int | tuple[int, ...]
"""Index into a tower's `hidden_states`, of which the first are the embeddings; or several."""

CLASS_TOKENS: dict[type[PretrainedConfig], int] = {
    SiglipVisionConfig: 0,
    CLIPVisionConfig: 1,
    Dinov2Config: 1,
    Dinov2WithRegistersConfig: 1,
    DINOv3ViTConfig: 1,
}
"""Class tokens that a vision tower puts before its patches, by the class of its configuration."""

INTERPOLATE_IF_TOLD = (SiglipVisionConfig, CLIPVisionConfig)
"""Towers that interpolate their position embeddings only if told to; the others always do, or have none."""


class TowerFeatures(nn.Module):
    """Features of a vision tower's inner layers, by default of the last but one (section 4.1: "penultimate").

    Class and register tokens are dropped. Pixels of another size than the tower was trained with get interpolated
    position embeddings.

    Args:
        tower: A Hugging Face vision transformer listed in `CLASS_TOKENS`.
        processor: An image processor that makes every picture the same size; the tower's own, or `squared`.
        layer: Which hidden state, or which several, whose features are then concatenated in that order.

    Raises:
        ValueError: If the tower has no such layer or is of a kind not known here, or if the processor keeps the aspect
            ratio, so that pictures have different grids.
    """

    def __init__(self, tower: PreTrainedModel, processor: BaseImageProcessor, layer: Layers = -2) -> None:
        super().__init__()
        self.layers = check_layers(layer, tower.config.num_hidden_layers)
        self.leading = leading_tokens(tower.config)
        self.options = {"interpolate_pos_encoding": True} if type(tower.config) in INTERPOLATE_IF_TOLD else {}
        self.tower = tower
        self.processor = processor
        self.prepare: Callable[[Image], Tensor] = ImagePreparer(processor)
        self.layer = layer
        self.grid = patch_grid(self.prepare, tower.config.patch_size)
        self.dim: int = tower.config.hidden_size * len(self.layers)

    def forward(self, prepared: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the layers' patch features.

        Raises:
            ValueError: If the pixels make another grid than the processor's.
        """
        states = self.tower(prepared, output_hidden_states=True, **self.options).hidden_states
        patches = states[0].shape[1] - self.leading
        if patches != math.prod(self.grid):
            raise ValueError(
                f"{prepared.shape[2]}x{prepared.shape[3]} pixels give {patches} patches, not the "
                f"{self.grid[0]}x{self.grid[1]} of the image processor: prepare pictures with this source's `prepare`"
            )
        return torch.cat([states[layer][:, self.leading :] for layer in self.layers], dim=2)

    def describe(self) -> dict[str, Any]:
        """Says which features these are."""
        return {"kind": "tower", "layer": layer_as_json(self.layer), "tower_sha256": fingerprint(self.tower)}

    def save(self, folder: Path) -> None:
        """Writes the tower and its image processor."""
        self.tower.save_pretrained(folder / "tower")
        self.processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, described: dict[str, Any]) -> "TowerFeatures":
        """Reads what `save` wrote."""
        tower = AutoModel.from_pretrained(folder / "tower", dtype=torch.float32)
        return cls(tower, load_image_processor(folder), layer_from_json(described["layer"]))


def leading_tokens(config: PretrainedConfig) -> int:
    """Counts the class and register tokens that a vision tower puts before its patches.

    Raises:
        ValueError: If the tower is of a kind not known here.
    """
    if type(config) not in CLASS_TOKENS:
        known = ", ".join(repr(kind.model_type) for kind in CLASS_TOKENS)
        raise ValueError(
            f"which tokens of a {config.model_type!r} vision tower are no patches is not known: use one of type "
            f"{known} (`NaFlexFeatures` for a SigLIP2 of type NaFlex), or add the class of its configuration to "
            "CLASS_TOKENS in asvr/targets/towers.py"
        )
    registers = config.num_register_tokens if isinstance(config, (Dinov2WithRegistersConfig, DINOv3ViTConfig)) else 0
    return CLASS_TOKENS[type(config)] + registers


def check_layers(layer: Layers, num_layers: int) -> tuple[int, ...]:
    """Gives the indices of hidden states that are asked for, one or several.

    Raises:
        ValueError: If there is none, or the tower does not have it.
    """
    layers = (layer,) if isinstance(layer, int) else layer
    num_states = num_layers + 1
    for one in layers:
        if not -num_states <= one < num_states:
            raise ValueError(f"layer {one} of a vision tower with {num_states} hidden states: choose -2, the paper's")
    if not layers:
        raise ValueError("no layer of the vision tower was chosen: choose -2, the paper's")
    return layers


def layer_as_json(layer: Layers) -> int | list[int]:
    """Writes the choice of layers in JSON's own types."""
    return layer if isinstance(layer, int) else list(layer)


def layer_from_json(layer: int | list[int]) -> Layers:
    """Reads what `layer_as_json` wrote."""
    return layer if isinstance(layer, int) else tuple(layer)


def fingerprint(module: nn.Module) -> str:
    """Hashes a module's weights, so that a tokenizer knows its tower again whatever the folder is called.

    What the weights are called does not count: transformers renames them from one version to the next.
    """
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        values = tensor.detach().cpu().float().contiguous().numpy()
        digest.update(str(values.shape).encode() + values.tobytes())
    return digest.hexdigest()
