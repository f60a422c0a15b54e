"""Residual quantiser: a vector becomes `depth` codes, each naming the code vector nearest to what is left."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

MAX_DISTANCES = 2**24
"""Distances that may exist at once (64 MiB in fp32): 1,024 vectors against 16,384 codes."""

CACHED_DISTANCES = 2**22
"""Distances that a processor's cache still holds while their least is looked for; as many are searched at once where
the vectors are so narrow that reading the codebook again costs less than that."""

EXACT_CODES = 1024
"""Code vectors held in fp64 at once."""

ROUNDING = 1e-5
"""Two squared distances closer than this share of the numbers they are computed from are compared again in fp64."""


def nearest(vectors: Float[Tensor, "vectors dim"], codebook: Float[Tensor, "codes dim"]) -> Int[Tensor, " vectors"]:
    """Finds the code vector nearest to each vector; equal distances go to the lower code.

    Both must be fp32: in bf16 a third of the deepest codes come out otherwise (`golden/reference`). A matrix product
    rounds differently for other numbers of rows, other threads and other devices, so whatever that rounding could
    decide is decided in fp64: a vector has the same code in every batch.
    """
    assert vectors.dtype == codebook.dtype == torch.float32
    if len(vectors) == 0:
        return vectors.new_empty(0, dtype=torch.long)
    squares = torch.linalg.vector_norm(codebook, dim=1).square()
    few, most = CACHED_DISTANCES // len(codebook), MAX_DISTANCES // len(codebook)
    rows = max(1, min(most, max(few, codebook.shape[1])))
    with _whole_fp32():
        found = [_nearest(part, codebook, squares) for part in vectors.split(rows)]
    codes, close = map(torch.cat, zip(*found, strict=True))
    # All that are close together, since each time the whole codebook is read and turned into fp64.
    for part in close.nonzero().squeeze(1).split(max(1, MAX_DISTANCES // 4 // len(codebook))):
        codes[part] = _nearest_exactly(vectors[part].double(), codebook)
    return codes


@contextmanager
def _whole_fp32() -> Iterator[None]:
    """Keeps products of fp32 matrices from being computed in TF32 or bf16, which users allow for the model's sake."""
    # The type stubs do not know the second yet.
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def _nearest(vectors: Tensor, codebook: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Gives the codes that fp32 finds, and which of them rounding may have decided."""
    distances = torch.addmm(squares, vectors, codebook.T, alpha=-2)
    least, codes = distances.min(1)
    if len(codebook) == 1:
        return codes, torch.zeros_like(codes, dtype=torch.bool)
    second, runners_up = distances.scatter_(1, codes.unsqueeze(1), torch.inf).min(1)
    # Rounding is a share of the numbers that a distance is computed from. Those of the two codes at hand stand for all:
    # a far longer code vector is far away. The norm, unlike other ways to it, takes no memory for the squares.
    scale = torch.linalg.vector_norm(vectors, dim=1).square() + squares[codes] + squares[runners_up]
    return codes, second - least <= ROUNDING * scale


def _nearest_exactly(vectors: Tensor, codebook: Tensor) -> Tensor:
    parts, greatest = [], vectors.new_zeros(())
    # Code vectors in parts, since all of them in fp64 would take more memory than the search itself.
    for part in codebook.split(EXACT_CODES):
        exact = part.double()
        squares = exact.square().sum(1)
        parts.append(torch.addmm(squares, vectors, exact.T, alpha=-2))
        greatest = torch.maximum(greatest, squares.amax())
    distances = torch.cat(parts, 1)
    scale = vectors.square().sum(1, keepdim=True) + greatest
    # The first of the equal ones: argmax of booleans on every device.
    return (distances <= distances.amin(1, keepdim=True) + 1e-14 * scale).int().argmax(1)


class ResidualQuantizer(nn.Module):
    """Maps vectors to codes and codes to vectors, over given codebooks (section 3.2; `RQBottleneck` of the release).

    Args:
        codebooks: Code vectors `(depth, codes, dim)`, or `(1, codes, dim)` of a codebook that all depths share.
        depth: Codes per vector; as many as there are codebooks by default.

    Raises:
        ValueError: If there are several codebooks, but not one for each depth.
    """

    books: Float[Tensor, "books codes dim"]

    def __init__(self, codebooks: Float[Tensor, "books codes dim"], depth: int | None = None) -> None:
        super().__init__()
        self.depth = depth or len(codebooks)
        """Codes per vector."""
        if len(codebooks) not in (1, self.depth):
            raise ValueError(f"{len(codebooks)} codebooks for a depth of {self.depth}: give one, or one for each depth")
        self.register_buffer("books", codebooks.float())

    @property
    def codebooks(self) -> Float[Tensor, "depth codes dim"]:
        """The codebook of each depth; a shared one appears at each without being copied."""
        return self.books.expand(self.depth, -1, -1)

    @property
    def num_codes(self) -> int:
        """Code vectors per codebook."""
        return self.books.shape[1]

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.books.shape[2]

    @torch.no_grad()
    def encode(self, vectors: Float[Tensor, "*batch dim"]) -> Int[Tensor, "*batch depth"]:
        """Quantises greedily: at each depth the nearest code vector is taken and subtracted. Search is in fp32.

        Raises:
            ValueError: If the vectors' width is not the codebooks'.
        """
        if vectors.shape[-1] != self.dim:
            raise ValueError(
                f"vectors {vectors.shape[-1]} wide for codebooks {self.dim} wide: the tokenizer is another model's"
            )
        with torch.autocast(vectors.device.type, enabled=False):
            residual = vectors.float().reshape(-1, self.dim)
            codes = []
            for codebook in self.codebooks.float():
                codes.append(nearest(residual, codebook))
                residual = residual - codebook[codes[-1]]
        return torch.stack(codes, dim=-1).view(*vectors.shape[:-1], self.depth)

    def lookup(self, codes: Int[Tensor, "*batch depth"]) -> Float[Tensor, "*batch depth dim"]:
        """Gives the code vector of each depth; their sum over depths is the quantised vector."""
        return torch.stack([book[codes[..., depth]] for depth, book in enumerate(self.codebooks)], dim=-2)

    def quantised(self, codes: Int[Tensor, "*batch depth"]) -> Float[Tensor, "*batch dim"]:
        """Sums the code vectors over depths, without holding them all."""
        total = self.books.new_zeros(*codes.shape[:-1], self.dim)
        for depth, book in enumerate(self.codebooks):
            total = total + book[codes[..., depth]]
        return total
