"""Features of a vision tower's inner layer: the semantic targets."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.features import patch_grid
from asvr.targets.preparing import ImagePreparer, load_image_processor


class TowerFeatures(nn.Module):
    """Features of a vision tower's inner layer, by default the last but one (section 4.1: "penultimate").

    Args:
        tower: Any Hugging Face vision transformer whose config has `patch_size`.
        processor: Its image processor.
        layer: Index into the tower's `hidden_states`, of which the first are the embeddings.

    Raises:
        ValueError: If the tower has no such layer.
    """

    def __init__(self, tower: PreTrainedModel, processor: BaseImageProcessor, layer: int = -2) -> None:
        super().__init__()
        num_states = tower.config.num_hidden_layers + 1
        if not -num_states <= layer < num_states:
            raise ValueError(f"layer {layer} of a vision tower with {num_states} hidden states: choose -2, the paper's")
        self.tower = tower
        self.processor = processor
        self.prepare: Callable[[Image], Tensor] = ImagePreparer(processor)
        self.layer = layer
        self.grid = patch_grid(self.prepare, tower.config.patch_size)
        self.dim: int = tower.config.hidden_size

    def forward(self, prepared: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the layer's patch features; class and register tokens, which come first, are dropped."""
        features = self.tower(prepared, output_hidden_states=True).hidden_states[self.layer]
        return features[:, features.shape[1] - math.prod(self.grid) :]

    def describe(self) -> dict[str, Any]:
        """Says which features these are."""
        return {"kind": "tower", "layer": self.layer, "tower_sha256": fingerprint(self.tower)}

    def save(self, folder: Path) -> None:
        """Writes the tower and its image processor."""
        self.tower.save_pretrained(folder / "tower")
        self.processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, described: dict[str, Any]) -> "TowerFeatures":
        """Reads what `save` wrote."""
        tower = AutoModel.from_pretrained(folder / "tower", dtype=torch.float32)
        return cls(tower, load_image_processor(folder), described["layer"])


def fingerprint(module: nn.Module) -> str:
    """Hashes a module's weights, so that a tokenizer knows its tower again whatever the folder is called."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
