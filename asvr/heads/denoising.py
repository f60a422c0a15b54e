"""ROSS's visual head: takes the noise from a picture's targets, told what the language model made of the picture."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from asvr.heads.diffusion import NUM_STEPS, noised, signal_shares
from asvr.heads.diffusion_transformer import DiffusionTransformer
from asvr.interfaces import HeadLoss


class DenoisingHead(nn.Module):
    """Reconstructs continuous targets by denoising (ROSS, arXiv 2410.09575).

    The loss of a visual token is the mean squared error of the guessed noise over its channels and over several draws
    of step and noise for its picture: 1 for a head that knows nothing, whatever the targets. All of it is fp32.

    Draws come from torch's global generator, so a resumed run draws what the uninterrupted one would have drawn.

    Args:
        network: Guesses the noise.
        repeats: Draws for each picture.
    """

    signal: Float[Tensor, " steps"]

    def __init__(self, network: DiffusionTransformer, repeats: int = 4) -> None:
        super().__init__()
        self.network = network
        self.repeats = repeats
        # Not saved with the head: the schedule says it.
        self.register_buffer("signal", signal_shares().float(), persistent=False)

    def forward(self, hidden: Float[Tensor, "tokens hidden"], target: Float[Tensor, "tokens channels"]) -> HeadLoss:
        """Scores the visual tokens of whole pictures, in raster order.

        Returns:
            Metrics `loss_little_noise` and `loss_much_noise`: the error of draws in the first and in the second half
            of the steps. Each counts twice, since half of all draws fall there; their mean is the loss.
        """
        num_images = len(hidden) // math.prod(self.network.grid)
        step = torch.randint(NUM_STEPS, (self.repeats * num_images,), device=hidden.device)
        shape = (len(step), math.prod(self.network.grid), self.network.channels)
        errors = self.errors(hidden, target, step, torch.randn(shape, device=hidden.device))
        little = step[:, None] < NUM_STEPS // 2
        parts = {"loss_little_noise": errors * little, "loss_much_noise": errors * ~little}
        metrics = {name: 2 * self._mean_over_draws(part).detach() for name, part in parts.items()}
        per_token = self._mean_over_draws(errors)
        return HeadLoss(per_token.sum(), per_token.detach(), metrics)

    def errors(
        self,
        hidden: Float[Tensor, "tokens hidden"],
        target: Float[Tensor, "tokens channels"],
        step: Int[Tensor, " draws"],
        noise: Float[Tensor, "draws positions channels"],
    ) -> Float[Tensor, "draws positions"]:
        """Gives the mean squared error of the guessed noise at each position, for given draws: all pictures in turn."""
        positions = math.prod(self.network.grid)
        assert len(hidden) % positions == 0, f"{len(hidden)} visual tokens, but a picture has {positions}"
        # An error in the noise is lost in bf16's eight bits.
        with torch.autocast(hidden.device.type, enabled=False):
            condition = self.network.embed(hidden.float().view(-1, positions, hidden.shape[1]))
            clean = target.float().view(-1, positions, self.network.channels)
            told, clean = (each.repeat(self.repeats, 1, 1) for each in (condition, clean))
            guessed = self.network(noised(clean, noise, self.signal[step]), step, told)
        return (guessed - noise).square().mean(-1)

    def _mean_over_draws(self, errors: Float[Tensor, "draws positions"]) -> Float[Tensor, " tokens"]:
        return errors.unflatten(0, (self.repeats, -1)).mean(0).flatten()

    def flops_per_token(self) -> float:
        """Counts the forward FLOPs of one visual token, all draws; what is counted says the network."""
        return self.network.flops_per_token(self.repeats)
