"""The two seams of the package: what must be reconstructed, and what learns to reconstruct it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from PIL.Image import Image
from torch import Tensor, nn


class TargetEncoder(nn.Module, ABC):
    """What the model must reconstruct at each visual token: codes of a visual tokenizer, or latents of an autoencoder.

    It is frozen: it never trains, and stays in evaluation mode whatever `train` is told.

    The map from image to target is split where the hardware splits. `prepare` runs on one image in a data worker;
    `encode` runs on a stack of them on the training device.
    """

    grid: tuple[int, int]
    """Rows and columns of visual tokens in one image; must equal those of the vision-language model."""

    prepare: Callable[[Image], Tensor]
    """Turns one RGB image into the tensor that `encode` takes. It must not hold the network: data workers get it."""

    def train(self, mode: bool = True) -> "TargetEncoder":
        """Stays in evaluation mode."""
        return super().train(False)

    @abstractmethod
    def encode(self, prepared: Shaped[Tensor, "images ..."]) -> Shaped[Tensor, "images positions ..."]:
        """Gives integer codes `(images, positions, depth)` or latents `(images, positions, channels)`, raster order."""

    @abstractmethod
    def encode_none(self, device: torch.device) -> Shaped[Tensor, "0 ..."]:
        """Gives the targets of no visual tokens at all, in the shape and dtype that a head takes."""


class HeadLoss(NamedTuple):
    """What a head says of the visual tokens it is given.

    Args:
        total: Sum of all visual tokens' losses, fp32, to descend.
        per_token: Loss of each visual token, detached, fp32; nats per code for a head over codes.
        metrics: Further figures per visual token by the name they are logged under, detached, fp32.
    """

    total: Float[Tensor, ""]
    per_token: Float[Tensor, " tokens"]
    metrics: dict[str, Tensor]


@runtime_checkable
class VisualHead(Protocol):
    """A trained map from hidden states to the loss of reconstructing their targets.

    Only the sum has a gradient: a head over many classes computes it while the logits are there, and cannot know how
    each token would be weighted later.
    """

    def __call__(self, hidden: Float[Tensor, "tokens hidden"], target: Shaped[Tensor, "tokens ..."]) -> HeadLoss:
        """Gives the loss of every visual token; no tokens give zero, which still reaches every parameter."""
        ...
