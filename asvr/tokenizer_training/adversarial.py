"""A network that learns to tell decoded pictures from real ones, and how much it may say."""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from asvr.tokenizers.ranks import Ranks

LEAST, MOST = 0.3, 10.0
"""Bounds of the adaptive weight (DualToken's `train.py`)."""


class PatchDiscriminator(nn.Module):
    """Gives each patch of a picture a logit of being real (PatchGAN, arXiv 1611.07004), from residual 3x3 convolutions.

    GroupNorm, unlike BatchNorm, says of a picture the same whatever else is in the batch.

    Args:
        channels: Filters of the first level; each further level has twice as many.
        levels: Times that the picture is halved.
    """

    def __init__(self, channels: int = 64, levels: int = 3) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(levels + 1)]
        self.begin = nn.Conv2d(3, channels, 3, padding=1)
        self.levels = nn.Sequential(*(_Halving(*pair) for pair in itertools.pairwise(widths)))
        self.end = nn.Sequential(_norm(widths[-1]), nn.LeakyReLU(0.2), nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 1 rows columns"]:
        """Judges every patch."""
        return self.end(self.levels(self.begin(pixels)))


class _Halving(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([_norm(in_channels), _norm(channels)])
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, stride=2)
        self.past = nn.Conv2d(in_channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        hidden = self.first(F.leaky_relu(self.norms[0](maps), 0.2))
        hidden = self.second(F.leaky_relu(self.norms[1](hidden), 0.2))
        return hidden + self.past(F.avg_pool2d(maps, 2, ceil_mode=True))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels), channels)


def discriminator_loss(real: Float[Tensor, "*patches"], decoded: Float[Tensor, "*patches"]) -> Float[Tensor, ""]:
    """Hinge loss of logits (arXiv 1705.02894): real ones should be above 1, decoded ones below -1."""
    return (F.relu(1 - real.float()).mean() + F.relu(1 + decoded.float()).mean()) / 2


def generator_loss(decoded: Float[Tensor, "*patches"]) -> Float[Tensor, ""]:
    """Decoded pictures should have high logits."""
    return -decoded.float().mean()


class AdaptiveWeight(nn.Module):
    """Makes the adversarial gradient as long as the reconstruction's, on the decoder's last convolution (VQGAN).

    Both gradients are summed over the micro-batches and processes of a step, and the weight that follows from them is
    used in the next step: so it is the same on all processes, and however a step is cut up. In the first step, with
    nothing measured yet, it is zero.
    """

    value: Float[Tensor, ""]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))
        self._seen: dict[str, Tensor] = {}

    def see(
        self, reconstruction: Float[Tensor, ""], adversarial: Float[Tensor, ""], weight: Float[Tensor, "*shape"]
    ) -> None:
        """Collects the gradients of both losses of a micro-batch at the last convolution's weight."""
        for name, loss in (("reconstruction", reconstruction), ("adversarial", adversarial)):
            (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
            self._seen[name] = self._seen.get(name, torch.zeros_like(gradient)) + gradient

    @torch.no_grad()
    def update(self, ranks: Ranks) -> None:
        """Sets the weight for the next step, if this one has seen anything."""
        if self._seen:
            norms = {name: ranks.total(gradient).norm() for name, gradient in self._seen.items()}
            ratio = norms["reconstruction"] / norms["adversarial"].clamp(min=1e-12)
            self.value.copy_(ratio.clamp(LEAST, MOST))
            self._seen = {}
