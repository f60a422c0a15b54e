"""The paper's visual head: a small transformer, causal over the depths of a residual code (section 4.1)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from asvr.heads.code_loss import code_loss
from asvr.heads.flops import linear_weights
from asvr.heads.rms_norm import rms_norm
from asvr.interfaces import HeadLoss

PARTS = 8
"""Parts of the tokens whose states are computed again one after another, each with an eighth of what all would keep."""


class DepthTransformer(nn.Module):
    """Predicts the codes of a visual token depth by depth, from its hidden state and the codes already known.

    The arithmetic is that of the authors' release (`rqtransformer/modeling_rqtransformer.py` at ea87c3e): slot 0 of a
    sequence of `depth` slots is the projected hidden state, slot d the projected sum of the first d code vectors.
    There is no positional embedding; each depth has its own MLPs and its own classifier.

    Args:
        hidden_size: Width of the language model's hidden states.
        codebooks: Code vectors of each depth, frozen, `(depth, codes, dim)`.
        width: Width of the head.
        num_layers: Number of transformer layers.
        head_width: Width of one attention head.

    Raises:
        ValueError: If `width` is no multiple of `head_width`.
    """

    codebooks: Float[Tensor, "depth codes dim"]

    gradient_checkpointing: bool = False
    """Whether nothing of the states is kept for the backward pass, which computes them again (`checkpoint_heads`)."""

    def __init__(
        self,
        hidden_size: int,
        codebooks: Float[Tensor, "depth codes dim"],
        *,
        width: int = 2048,
        num_layers: int = 3,
        head_width: int = 128,
    ) -> None:
        super().__init__()
        if width % head_width:
            raise ValueError(
                f"the head's width {width} must be a multiple of its attention heads' width {head_width}: "
                "change the recipe's head.width or head.head_width"
            )
        depth, num_codes, dim = codebooks.shape
        self.projector = nn.Sequential(nn.Linear(hidden_size, width), nn.GELU(), nn.Linear(width, width))
        self.code_projection = nn.Linear(dim, width)
        self.layers = nn.ModuleList(DepthLayer(depth, width, head_width) for _ in range(num_layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.classifiers = nn.ModuleList(nn.Linear(width, num_codes) for _ in range(depth))
        # Not saved with the head: the tokenizer owns them. fp32 so that sums of code vectors are exact enough.
        self.register_buffer("codebooks", codebooks.detach().float(), persistent=False)

    def forward(self, hidden: Float[Tensor, "tokens hidden"], target: Int[Tensor, "tokens depth"]) -> HeadLoss:
        """Scores each visual token as `code_loss` does, in nats per code; each depth is told the codes before it."""
        states = (self._states_in_parts if self.gradient_checkpointing else self.states)(hidden, target)
        # All slots cut at once: cut one by one, each would fill zeros for all others in the backward pass.
        return code_loss(states.unbind(1), self.classifiers, target)

    def states(
        self, hidden: Float[Tensor, "tokens hidden"], codes: Int[Tensor, "tokens known"]
    ) -> Float[Tensor, "tokens slots width"]:
        """Gives the state that each depth's classifier reads, as far as `codes` reach, at most `depth` slots."""
        depth = len(self.codebooks)
        known = codes[:, : depth - 1]
        vectors = (
            torch.stack([book[column] for book, column in zip(self.codebooks, known.unbind(1), strict=False)], 1)
            if known.shape[1]
            else self.codebooks.new_zeros(len(codes), 0, self.codebooks.shape[-1])
        )
        sums = self.code_projection(vectors.cumsum(1).to(self.code_projection.weight.dtype))
        slots = torch.cat([self.projector(hidden)[:, None], sums], dim=1)
        for layer in self.layers:
            slots = layer(slots)
        return rms_norm(self.norm, slots)

    def _states_in_parts(self, hidden: Tensor, codes: Tensor) -> Tensor:
        # A fixed number of parts, so that a compiled graph serves every number of tokens; the last has what remains.
        size, states = hidden.shape[0] // PARTS, []
        for part in range(PARTS):
            cut = slice(part * size, (part + 1) * size if part < PARTS - 1 else None)
            states.append(checkpoint(self.states, hidden[cut], codes[cut], use_reentrant=False))
        return torch.cat(states)

    @torch.no_grad()
    def reconstruct(self, hidden: Float[Tensor, "tokens hidden"]) -> Int[Tensor, "tokens depth"]:
        """Gives the codes that the head itself finds likeliest, each depth given its own choices before it."""
        codes = torch.empty(len(hidden), 0, dtype=torch.long, device=hidden.device)
        for classifier in self.classifiers:
            choice = classifier(self.states(hidden, codes)[:, codes.shape[1]]).argmax(-1, keepdim=True)
            codes = torch.cat([codes, choice], dim=1)
        return codes

    def flops_per_token(self) -> float:
        """Counts the forward FLOPs of one visual token: two per multiplication with its addition, all pairs of slots.

        Lookups, norms, activations and softmaxes are left out.
        """
        return self.states_flops_per_token() + 2.0 * linear_weights(self.classifiers)

    def states_flops_per_token(self) -> float:
        """Counts those of `states`, without the classifiers."""
        slots, (width,) = len(self.classifiers), self.norm.normalized_shape
        # Four matrices of attention and an MLP that is twice as wide inside; then scores and their use.
        per_slot = 8 * width**2 + 2 * slots * width
        layers = len(self.layers) * slots * per_slot
        codes = (slots - 1) * self.code_projection.weight.numel()
        return 2.0 * (linear_weights(self.projector) + codes + layers)


def checkpoint_heads(module: nn.Module) -> None:
    """Has every depth transformer in `module` compute its states again in the backward pass instead of keeping them.

    Of 16 pictures of 729 tokens at the release's size in bf16 it keeps 3.3 GiB, not 21.4, and computes a quarter more
    (`states_flops_per_token` beside three times `flops_per_token`).
    """
    for each in module.modules():
        if isinstance(each, DepthTransformer):
            each.gradient_checkpointing = True


class DepthLayer(nn.Module):
    """One layer over the slots of a code: causal attention, then an MLP of its own for each depth.

    The residual of the MLP is the *normed* sum, as in the release: `r = norm2(x + attention(norm1(x)))`,
    `x' = r + W2_d gelu(W1_d r)`, without biases.

    Args:
        depth: Number of slots.
        width: Width of a slot; each MLP is twice as wide inside.
        head_width: Width of one attention head.
    """

    def __init__(self, depth: int, width: int, head_width: int) -> None:
        super().__init__()
        self.num_heads = width // head_width
        self.norm1 = nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.expand = nn.Parameter(torch.empty(depth, width, 2 * width).uniform_(-(width**-0.5), width**-0.5))
        self.reduce = nn.Parameter(
            torch.empty(depth, 2 * width, width).uniform_(-((2 * width) ** -0.5), (2 * width) ** -0.5)
        )

    def forward(self, slots: Float[Tensor, "tokens slots width"]) -> Float[Tensor, "tokens slots width"]:
        """Mixes each slot with those before it."""
        num_slots = slots.shape[1]
        residual = rms_norm(self.norm2, slots + self._attend(rms_norm(self.norm1, slots)))
        by_depth = residual.transpose(0, 1)
        inner = F.gelu(torch.bmm(by_depth, self.expand[:num_slots]))
        return residual + torch.bmm(inner, self.reduce[:num_slots]).transpose(0, 1)

    def _attend(self, slots: Tensor) -> Tensor:
        tokens, num_slots, width = slots.shape
        heads = self.qkv(slots).view(tokens, num_slots, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(tokens, num_slots, width))
