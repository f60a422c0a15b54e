"""Weights of a checkpoint → modules of ours, with every tensor accounted for under the name it has there."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from asvr.targets.blocks import AttentionProjection

ATTENTION_NAMES = {
    "norm_linear": "norm3",
    "linear": "proj",
    "norm_attention": "norm1",
    "attention.query": "attn.qkv",
    "attention.key": "attn.qkv",
    "attention.value": "attn.qkv",
    "attention.out": "attn.proj",
    "norm_mlp": "norm2",
    "mlp.norm": "mlp.norm",
    "mlp.gate": "mlp.w0",
    "mlp.expand": "mlp.w1",
    "mlp.reduce": "mlp.w2",
}
"""Layers of `AttentionProjection` by their names in DualToken's checkpoints."""

STACKED = {"attention.query.weight": 0, "attention.key.weight": 1, "attention.value.weight": 2}
"""Which third of DualToken's `attn.qkv.weight` a weight is."""

BIASES = {"attention.query.bias": "attn.q_bias", "attention.value.bias": "attn.v_bias"}
KEY_BIAS = "attn.zero_k_bias"

SHOWN = 6
"""Faults that an error lists; of more it says how many."""


class Weights:
    """Tensors of a checkpoint by name; what is taken is noted, and so is what cannot be.

    Args:
        tensors: Tensors by name.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.taken: set[str] = set()
        self.faults: list[str] = []

    def take(self, name: str, shape: Sequence[int]) -> Tensor:
        """Gives a tensor in fp32; zeros in place of one that is missing or of another shape, which becomes a fault."""
        self.taken.add(name)
        found = self.tensors.get(name)
        if found is None:
            self.faults.append(f"{name} is missing")
        elif tuple(found.shape) != tuple(shape):
            self.faults.append(f"{name} is {_dimensions(found.shape)}, not {_dimensions(shape)}")
        else:
            return found.float()
        return torch.zeros(*shape)

    def fill(self, module: nn.Module, prefix: str) -> None:
        """Loads a module whose weights are called the same here, below a prefix, but for attention projections."""
        if isinstance(module, AttentionProjection):
            return self._fill_attention(module, prefix)
        state = {name: self.take(prefix + name, value.shape) for name, value in module.state_dict().items()}
        module.load_state_dict(state)

    def _fill_attention(self, module: AttentionProjection, prefix: str) -> None:
        state = {}
        for name, value in module.state_dict().items():
            layer, _, kind = name.rpartition(".")
            if name in STACKED:
                rows, columns = value.shape
                stacked = self.take(f"{prefix}attn.qkv.weight", (3 * rows, columns))
                state[name] = stacked.chunk(3)[STACKED[name]]
            else:
                state[name] = self.take(prefix + BIASES.get(name, f"{ATTENTION_NAMES[layer]}.{kind}"), value.shape)
        if self.take(prefix + KEY_BIAS, state["attention.query.bias"].shape).any():
            self.faults.append(f"{prefix}{KEY_BIAS} is not zero, so it is not what its name says")
        module.load_state_dict(state)

    def codebooks(self, prefix: str, *, depth: int, shape: tuple[int, int], shared: bool) -> Float[Tensor, "b k d"]:
        """Gives the codebooks of all depths, or the one that they share, without the padding row at the end.

        Args:
            prefix: What comes before the number of the depth.
            depth: How many there are.
            shape: Code vectors of each, without the padding row, and their width.
            shared: Whether they must all be the same.
        """
        codes, width = shape
        books = [self.take(f"{prefix}{index}.weight", (codes + 1, width)) for index in range(depth)]
        if not shared:
            return torch.stack([book[:-1] for book in books])
        different = [index for index, book in enumerate(books) if not torch.equal(book, books[0])]
        if different:
            self.faults.append(f"{prefix}{different[0]}.weight is not {prefix}0.weight, though the codebook is shared")
        return books[0][None, :-1].clone()

    def finish(self, source: str) -> None:
        """Stops unless everything that was asked for was there, and everything that is there was asked for.

        Args:
            source: What the error calls the checkpoint.

        Raises:
            ValueError: If a tensor is missing, has another shape, contradicts another or has no place.
        """
        left = [f"{name} has no place in this layout" for name in self.tensors if name not in self.taken]
        faults = [*dict.fromkeys(self.faults), *left]
        if faults:
            shown = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
            raise ValueError(f"{source}: {shown}. Its weights and its configuration must be of one model")


def _dimensions(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
