"""Feature sources: what of an image a visual tokenizer quantises, one vector per visual token."""

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel


class FeatureSource(Protocol):
    """A frozen module from pixels to one vector per visual token."""

    grid: tuple[int, int]
    dim: int

    def __call__(self, pixel_values: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the features of each image in raster order."""
        ...


class TowerFeatures(nn.Module):
    """Features of a vision tower's inner layer, by default the last but one (section 4.1: "penultimate").

    Args:
        tower: Any Hugging Face vision transformer whose config has `image_size` and `patch_size`.
        layer: Index into the tower's `hidden_states`, of which the first are the embeddings.

    Raises:
        ValueError: If the tower has no such layer.
    """

    def __init__(self, tower: PreTrainedModel, layer: int = -2) -> None:
        super().__init__()
        num_states = tower.config.num_hidden_layers + 1
        if not -num_states <= layer < num_states:
            raise ValueError(f"layer {layer} of a vision tower with {num_states} hidden states: choose -2, the paper's")
        side = tower.config.image_size // tower.config.patch_size
        self.tower = tower
        self.layer = layer
        self.grid = (side, side)
        self.dim: int = tower.config.hidden_size

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the layer's patch features; class and register tokens, which come first, are dropped."""
        features = self.tower(pixel_values, output_hidden_states=True).hidden_states[self.layer]
        return features[:, features.shape[1] - math.prod(self.grid) :]


class PixelPatches(nn.Module):
    """The pixels of each patch as they are: the plainest appearance features.

    Args:
        image_size: Side of the square image in pixels.
        patch_size: Side of a patch in pixels; what is left over right and below is dropped, as a tower does.
    """

    def __init__(self, image_size: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.grid = (image_size // patch_size, image_size // patch_size)
        self.dim = 3 * patch_size**2

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Cuts each image into patches, raster order, channels first inside a patch."""
        return torch.nn.functional.unfold(pixel_values, self.patch_size, stride=self.patch_size).transpose(1, 2)
