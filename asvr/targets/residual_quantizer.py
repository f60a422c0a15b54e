"""Residual quantiser: a vector becomes `depth` codes, each naming the code vector nearest to what is left."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

MAX_DISTANCES = 2**26
"""Distances that may exist at once (256 MiB in fp32)."""


def nearest(vectors: Float[Tensor, "vectors dim"], codebook: Float[Tensor, "codes dim"]) -> Int[Tensor, " vectors"]:
    """Finds the code vector nearest to each vector; equal distances go to the lower code.

    Both must be fp32: in bf16 a third of the deepest codes come out otherwise (`golden/reference`).
    """
    assert vectors.dtype == codebook.dtype == torch.float32
    squares = codebook.square().sum(1)
    rows = max(1, MAX_DISTANCES // len(codebook))
    chunks = [torch.addmm(squares, part, codebook.T, alpha=-2).argmin(1) for part in vectors.split(rows)]
    return torch.cat(chunks) if chunks else vectors.new_empty(0, dtype=torch.long)


class ResidualQuantizer(nn.Module):
    """Maps vectors to codes and codes to vectors, over given codebooks (section 3.2; `RQBottleneck` of the release).

    Args:
        codebooks: Code vectors `(depth, codes, dim)`. A codebook shared by all depths is repeated.
    """

    codebooks: Float[Tensor, "depth codes dim"]

    def __init__(self, codebooks: Float[Tensor, "depth codes dim"]) -> None:
        super().__init__()
        self.register_buffer("codebooks", codebooks.float())

    @property
    def depth(self) -> int:
        """Codes per vector."""
        return self.codebooks.shape[0]

    @property
    def num_codes(self) -> int:
        """Code vectors per codebook."""
        return self.codebooks.shape[1]

    @torch.no_grad()
    def encode(self, vectors: Float[Tensor, "*batch dim"]) -> Int[Tensor, "*batch depth"]:
        """Quantises greedily: at each depth the nearest code vector is taken and subtracted. Search is in fp32.

        Raises:
            ValueError: If the vectors' width is not the codebooks'.
        """
        dim = self.codebooks.shape[2]
        if vectors.shape[-1] != dim:
            raise ValueError(
                f"vectors {vectors.shape[-1]} wide for codebooks {dim} wide: the tokenizer is another model's"
            )
        with torch.autocast(vectors.device.type, enabled=False):
            residual = vectors.float().reshape(-1, dim)
            codes = []
            for codebook in self.codebooks.float():
                codes.append(nearest(residual, codebook))
                residual = residual - codebook[codes[-1]]
        return torch.stack(codes, dim=-1).view(*vectors.shape[:-1], self.depth)

    def lookup(self, codes: Int[Tensor, "*batch depth"]) -> Float[Tensor, "*batch depth dim"]:
        """Gives the code vector of each depth; their sum over depths is the quantised vector."""
        return torch.stack([book[codes[..., depth]] for depth, book in enumerate(self.codebooks)], dim=-2)
