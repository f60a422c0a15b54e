"""How different two pictures look to another network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.checkpoints import load_tower, load_tower_processor
from asvr.targets.features import new_image


class Normalisation(nn.Module):
    """Pixels normalised for one model as those of another.

    Args:
        given: Image processor whose pixels come.
        wanted: Image processor whose pixels go.
    """

    scale: Float[Tensor, "3 1 1"]
    shift: Float[Tensor, "3 1 1"]

    def __init__(self, given: BaseImageProcessor, wanted: BaseImageProcessor) -> None:
        super().__init__()
        (mean, deviation), (new_mean, new_deviation) = _statistics(given), _statistics(wanted)
        self.register_buffer("scale", deviation / new_deviation)
        self.register_buffer("shift", (mean - new_mean) / new_deviation)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 3 height width"]:
        """Undoes one normalisation and applies the other, as one affine map."""
        return pixels * self.scale + self.shift


def _statistics(processor: BaseImageProcessor) -> tuple[Tensor, Tensor]:
    facts = processor.to_dict()
    return torch.tensor(facts["image_mean"]).view(3, 1, 1), torch.tensor(facts["image_std"]).view(3, 1, 1)


class PerceptualDistance(nn.Module):
    """Squared distance of a frozen network's hidden states, each vector scaled to unit length.

    It is LPIPS (arXiv 1801.03924) without its learnt weights of channels, so any network will do.

    Args:
        backbone: A vision model; convolutional hidden states `(images, channels, rows, columns)` and transformers'
            `(images, tokens, channels)` will both do.
        normalisation: From the decoder's pixels to the backbone's.
        size: Height and width of the pixels that the backbone takes.
        layers: Which of its hidden states are compared.
    """

    def __init__(
        self, backbone: PreTrainedModel, normalisation: Normalisation, size: tuple[int, int], layers: Sequence[int]
    ) -> None:
        super().__init__()
        self.backbone, self.normalisation = backbone, normalisation
        self.size, self.layers = size, tuple(layers)
        self.requires_grad_(False).eval()

    def forward(
        self, decoded: Float[Tensor, "images 3 height width"], real: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, ""]:
        """Averages over layers, images and places; gradients reach the decoded pictures."""
        with torch.no_grad():
            expected = self._states(real)
        found = self._states(decoded)
        distances = [_distance(one, other) for one, other in zip(found, expected, strict=True)]
        return torch.stack(distances).mean()

    def _states(self, pixels: Tensor) -> list[Tensor]:
        resized = F.interpolate(self.normalisation(pixels), self.size, mode="bilinear", antialias=True)
        states = self.backbone(resized, output_hidden_states=True).hidden_states
        return [states[layer].float() for layer in self.layers]


def _distance(one: Tensor, other: Tensor) -> Tensor:
    channels = 1 if one.ndim == 4 else -1
    return (F.normalize(one, dim=channels) - F.normalize(other, dim=channels)).square().sum(channels).mean()


def load_perceptual(name: str, layers: Sequence[int], given: BaseImageProcessor) -> PerceptualDistance:
    """Loads a network to look at pictures with.

    Args:
        name: Hub name or folder.
        layers: Which of its hidden states are compared.
        given: Image processor of the tokenizer, which says how decoded pixels are normalised.

    Raises:
        ValueError: If no network is named, or it has no such layers.
    """
    if not name:
        raise ValueError(
            "a perceptual loss needs a network to look with, and none is shipped: --set "
            "appearance.perceptual.backbone=NAME_OR_FOLDER of any vision model, or --set appearance.perceptual.weight=0"
        )
    backbone, wanted = load_tower(name), load_tower_processor(name)
    size = wanted_size(wanted)
    with torch.no_grad():
        states = backbone(torch.zeros(1, 3, *size), output_hidden_states=True).hidden_states
    for layer in layers:
        if not -len(states) <= layer < len(states):
            raise ValueError(
                f"appearance.perceptual.layers names {layer}, but {name} has {len(states)} hidden states: choose "
                f"from 0 to {len(states) - 1}"
            )
    return PerceptualDistance(backbone, Normalisation(given, wanted), size, layers)


def wanted_size(processor: BaseImageProcessor) -> tuple[int, int]:
    """Gives the height and width that an image processor makes of a square picture."""
    height, width = processor(images=new_image(), return_tensors="pt")["pixel_values"].shape[-2:]
    return height, width
