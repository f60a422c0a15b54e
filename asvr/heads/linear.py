"""A lighter head over codes: every depth is read off one state, by a linear classifier of its own."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from asvr.heads.code_loss import code_loss
from asvr.heads.flops import linear_weights
from asvr.interfaces import HeadLoss


class LinearHead(nn.Module):
    """Predicts all codes of a visual token at once, from its hidden state alone.

    The trunk is the depth transformer's projector, the classifiers are as many and as large as its; the transformer
    between them is left out. What that gives up: a depth is predicted without knowing the shallower ones. A residual
    code says what its predecessors have left over, and without them the head can only learn each depth's marginal
    distribution given the hidden state: its loss is higher by what the depths say of each other, and codes that it
    chooses itself are each likely alone, but need not belong together.

    Args:
        hidden_size: Width of the language model's hidden states.
        depth: Codes of a visual token.
        num_codes: Entries of each depth's codebook.
        width: Width of the trunk.

    Raises:
        ValueError: If `width` is no width.
    """

    def __init__(self, hidden_size: int, depth: int, *, num_codes: int, width: int = 2048) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"a linear head of width {width}: the recipe's head.width must be one at least")
        self.projector = nn.Sequential(nn.Linear(hidden_size, width), nn.GELU(), nn.Linear(width, width))
        self.classifiers = nn.ModuleList(nn.Linear(width, num_codes) for _ in range(depth))

    def forward(self, hidden: Float[Tensor, "tokens hidden"], target: Int[Tensor, "tokens depth"]) -> HeadLoss:
        """Scores each visual token as `code_loss` does, in nats per code."""
        return code_loss([self.projector(hidden)] * len(self.classifiers), self.classifiers, target)

    @torch.no_grad()
    def reconstruct(self, hidden: Float[Tensor, "tokens hidden"]) -> Int[Tensor, "tokens depth"]:
        """Gives the codes that the head finds likeliest, each depth by itself."""
        state = self.projector(hidden)
        return torch.stack([classifier(state).argmax(-1) for classifier in self.classifiers], dim=1)

    def flops_per_token(self) -> float:
        """Counts the forward FLOPs of one visual token: two per multiplication with its addition; no activations."""
        return 2.0 * linear_weights(self)
