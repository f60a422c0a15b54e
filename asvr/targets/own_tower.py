"""Targets made of the very features that the vision-language model computes: one tower runs, not two."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor, nn

from asvr.interfaces import TargetEncoder
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.features import FeatureSource
from asvr.targets.resample import resample
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures


class SeenFeatures:
    """Keeps the hidden states that a model's frozen vision tower has just computed for the model itself.

    A hook on the tower keeps them; the objective asks for the targets of a batch right after the model has seen it.

    Args:
        features: Says which layers they are of; its own copy of the tower is not kept.
        tower: The model's vision tower. It must not train.

    Raises:
        ValueError: If the features are not a tower's.
    """

    def __init__(self, features: FeatureSource, tower: nn.Module) -> None:
        if not isinstance(features, TowerFeatures):
            raise ValueError(
                f"own_tower=true needs targets made of a vision tower's features, not of "
                f"{features.describe()['kind']!r}: set own_tower=false"
            )
        self.layers, self.leading = features.layers, features.leading
        self._seen: Float[Tensor, "images positions dim"] | None = None
        tower.register_forward_hook(self._keep)

    def _keep(self, tower: nn.Module, inputs: Any, outputs: Any) -> None:
        states = [outputs.hidden_states[layer][:, self.leading :] for layer in self.layers]
        self._seen = torch.cat(states, dim=2).detach()

    def take(self, num_images: int) -> Float[Tensor, "images positions dim"]:
        """Gives the features of the images that the model has just seen, in raster order; they are given once.

        Raises:
            ValueError: If the model has not just seen as many images.
        """
        seen, self._seen = self._seen, None
        if seen is None or len(seen) != num_images:
            raise ValueError(
                f"targets of {num_images} image(s) are asked for, but the model has just seen "
                f"{0 if seen is None else len(seen)}: run the model on the batch first, every image once"
            )
        return seen


class OwnTowerCodes(TargetEncoder):
    """Quantises what a model's frozen vision tower has just computed.

    The codes are those of the tokenizer as long as the model's tower and image processor are its own (checked before
    training), up to the dtype that the model runs in.

    Args:
        tokenizer: A tokenizer over a tower's features; its own copy of the tower is let go.
        tower: The model's vision tower. It must not train.

    Raises:
        ValueError: If the tokenizer is not one over a tower's features.
    """

    def __init__(self, tokenizer: VisualTokenizer, tower: nn.Module) -> None:
        super().__init__()
        self.seen = SeenFeatures(tokenizer.features, tower)
        self.source_grid, self.grid = tokenizer.features.grid, tokenizer.grid
        self.quantizer, self.pre = tokenizer.quantizer, tokenizer.pre
        self.prepare: Callable[[Image], Tensor] = nothing

    @torch.no_grad()
    def encode(self, prepared: Float[Tensor, "images 0"]) -> Int[Tensor, "images positions depth"]:
        """Gives the codes of the images that the model has just seen; errors are those of `SeenFeatures.take`."""
        seen = self.seen.take(len(prepared))
        projected = seen if self.pre is None else self.pre(seen)
        return self.quantizer.encode(resample(projected, self.source_grid, self.grid))

    def encode_none(self, device: torch.device) -> Int[Tensor, "0 depth"]:
        """Gives the codes of no visual tokens."""
        return torch.empty(0, self.quantizer.depth, dtype=torch.long, device=device)


class OwnTowerFeatures(TargetEncoder):
    """Standardises what a model's frozen vision tower has just computed; the continuous side of `OwnTowerCodes`.

    Args:
        targets: Continuous targets made of a tower's features; its own copy of the tower is let go.
        tower: The model's vision tower. It must not train.

    Raises:
        ValueError: If the targets are not a tower's features.
    """

    def __init__(self, targets: ContinuousTargets, tower: nn.Module) -> None:
        super().__init__()
        self.seen = SeenFeatures(targets.features, tower)
        self.source_grid, self.grid, self.channels = targets.features.grid, targets.grid, targets.channels
        self.statistics = targets.statistics
        self.prepare: Callable[[Image], Tensor] = nothing

    @torch.no_grad()
    def encode(self, prepared: Float[Tensor, "images 0"]) -> Float[Tensor, "images positions channels"]:
        """Gives the targets of the images that the model has just seen; errors are those of `SeenFeatures.take`."""
        seen = self.seen.take(len(prepared)).float()
        return self.statistics(resample(seen, self.source_grid, self.grid))

    def encode_none(self, device: torch.device) -> Float[Tensor, "0 channels"]:
        """Gives the targets of no visual tokens."""
        return torch.empty(0, self.channels, device=device)


def nothing(image: Image) -> Float[Tensor, "0"]:
    """Prepares nothing: the image reaches the tower through the model."""
    return torch.empty(0)
