"""VIRAL's visual head: turns the language model's states towards the features of a vision model."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from asvr.heads.flops import linear_weights
from asvr.interfaces import HeadLoss


class CosineHead(nn.Module):
    """Aligns hidden states with continuous targets (VIRAL, arXiv 2509.07979): three linear layers, then the cosine.

    The loss of a visual token is one less the cosine, which has the gradient of VIRAL's negative cosine and is zero
    where nothing is left to learn.

    Args:
        hidden_size: Width of the language model's hidden states.
        channels: Width of the targets.
        width: Width between the linear layers.
    """

    def __init__(self, hidden_size: int, channels: int, *, width: int = 2048) -> None:
        super().__init__()
        self.projector = nn.Sequential(
            nn.Linear(hidden_size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, channels)
        )

    def forward(self, hidden: Float[Tensor, "tokens hidden"], target: Float[Tensor, "tokens channels"]) -> HeadLoss:
        """Scores each visual token; metric `cosine`."""
        cosine = F.cosine_similarity(self.projector(hidden).float(), target.float(), dim=-1)
        return HeadLoss((1 - cosine).sum(), 1 - cosine.detach(), {"cosine": cosine.detach()})

    def flops_per_token(self) -> float:
        """Counts the forward FLOPs of one visual token, two per multiplication with its addition."""
        return 2.0 * linear_weights(self.projector)
