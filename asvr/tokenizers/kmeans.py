"""Residual k-means over vectors that several processes share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from asvr.targets.residual_quantizer import nearest
from asvr.tokenizers.ranks import Ranks, SharedRows, generator
from asvr.tokenizers.settings import FitSettings
from asvr.tokenizers.workspace import Workspace

ROUNDS = 5
"""Rounds in which the first codes of a depth are drawn, each where the rounds before left most: k-means|| (Bahmani et
al., arXiv 1203.6402) finds five enough."""

ROWS = 2048
"""Vectors turned into fp64 at once: little enough for memory to be used again, not mapped anew."""


class Assignment(NamedTuple):
    """What a codebook makes of vectors.

    Args:
        sums: Sum over all processes of the vectors that each code stands for.
        counts: How many those are.
        vectors: What was left of this process's vectors before the last depth.
        codes: Their codes at that depth.
        codebook: The codebook.
    """

    sums: Float[Tensor, "codes dim"]
    counts: Int[Tensor, " codes"]
    vectors: Float[Tensor, "own dim"]
    codes: Int[Tensor, " own"]
    codebook: Float[Tensor, "codes dim"]

    @property
    def residual(self) -> Float[Tensor, "own dim"]:
        """What is left of this process's vectors; computed when asked for, which most passes do not."""
        return self.vectors - self.codebook[self.codes]


def fit_codebooks(
    vectors: Float[Tensor, "own dim"], settings: FitSettings, workspace: Workspace
) -> Float[Tensor, "books codes dim"]:
    """Fits each codebook to what the ones before it left over; a shared one to what it leaves over itself, too.

    Args:
        vectors: This process's share of the sample, fp32.
        settings: Sizes, passes and seed.
        workspace: Keeps each codebook after each pass.

    Raises:
        ValueError: If all processes together have fewer vectors than codes.
    """
    ranks = workspace.ranks
    rows = SharedRows(ranks, len(vectors))
    refuse_too_few(rows.total, settings.num_codes)
    depths = settings.depth // settings.books
    residual, codebooks = vectors, []
    for book in range(settings.books):

        def tell(done: int, book: int = book) -> None:
            workspace.on_progress("codebooks", book * settings.iterations + done, settings.books * settings.iterations)

        lloyd = Lloyd(residual, rows, settings, depths=depths, book=book)
        codebooks.append(lloyd.fit(workspace, tell))
        residual = assign(residual, codebooks[-1], depths, ranks).residual
    return torch.stack(codebooks)


def refuse_too_few(vectors: int, num_codes: int) -> None:
    """Raises ValueError if so many vectors cannot fill so many codes."""
    if vectors < num_codes:
        raise ValueError(f"{vectors} feature vectors cannot fill {num_codes} codes: give more images or fewer codes")


class Lloyd:
    """Lloyd's algorithm for one codebook that serves one depth or several.

    The first codes are vectors drawn at random, with probabilities in proportion to what the codes drawn before leave
    of them (squared distance). A code that stands for no vector begins anew at a vector that is drawn likewise.

    Args:
        vectors: This process's vectors, as the depths before left them.
        rows: Where they stand among those of all.
        settings: Codes, passes and seed.
        depths: For how many depths the codebook serves.
        book: Number of the codebook.
    """

    def __init__(
        self, vectors: Float[Tensor, "own dim"], rows: SharedRows, settings: FitSettings, *, depths: int, book: int
    ) -> None:
        self.vectors, self.rows, self.settings = vectors, rows, settings
        self.depths, self.book = depths, book

    def fit(self, workspace: Workspace, on_pass: Callable[[int], None]) -> Float[Tensor, "codes dim"]:
        """Runs the passes that are not yet in the workspace."""
        name, passes = f"codebook-{self.book}", self.settings.iterations
        if workspace.has(name):
            kept, facts = workspace.load(name)
            codebook, done = kept["codebook"].to(self.vectors.device), facts["passes"]
        else:
            codebook, done = self._first(), 0
        for number in range(done, passes):
            codebook = self._pass(codebook, number)
            if self.rows.ranks.is_first:
                workspace.save(name, {"codebook": codebook}, passes=number + 1)
            on_pass(number + 1)
        return codebook

    def _first(self) -> Tensor:
        random = generator(self.settings.seed, "first codes", self.book)
        codebook, residual, rounds = self.vectors[:0], self.vectors, self.depths * ROUNDS
        for number in range(1, rounds + 1):
            # Where pictures are mostly background, one vector is drawn again and again: the mean stands in for a first
            # code, and what was drawn twice makes room.
            codebook = codebook.unique(dim=0)
            weights = energy(residual, codebook if len(codebook) else self._mean(residual))
            wanted = self.settings.num_codes * number // rounds - len(codebook)
            codebook = torch.cat([codebook, self.rows.draw(residual, wanted, random, weights=weights)])
            if number % ROUNDS == 0 and number < rounds:
                # The next codes are of the next depth's scale.
                residual = residual - codebook[nearest(residual, codebook)]
        return codebook

    def _mean(self, residual: Tensor) -> Tensor:
        total = self.rows.ranks.total(residual.sum(0, keepdim=True, dtype=torch.float64))
        return (total / self.rows.total).float()

    def _pass(self, codebook: Tensor, number: int) -> Tensor:
        found = assign(self.vectors, codebook, self.depths, self.rows.ranks)
        means = (found.sums / found.counts.clamp(min=1).unsqueeze(1)).float()
        dead = found.counts == 0
        # In the last pass a fresh code has no chance to move, but it is still nearer to something than none.
        if dead.any():
            random = generator(self.settings.seed, "fresh codes", self.book, number)
            weights = energy_left(found.vectors, codebook, found.codes)
            drawn = self.rows.draw(self.vectors, int(dead.sum()), random, weights=weights)
            means[dead] = at_all_depths(drawn, codebook, self.depths)
        return means


def assign(
    vectors: Float[Tensor, "own dim"], codebook: Float[Tensor, "codes dim"], depths: int, ranks: Ranks
) -> Assignment:
    """Quantises the vectors of all processes by so many depths of one codebook."""
    sums = codebook.new_zeros(codebook.shape, dtype=torch.float64)
    counts = torch.zeros(len(codebook), dtype=torch.long, device=codebook.device)
    codes = nearest(vectors, codebook)
    for depth in range(depths):
        if depth:
            vectors = vectors - codebook[codes]
            codes = nearest(vectors, codebook)
        add_up(vectors, codes, sums)
        counts += torch.bincount(codes, minlength=len(codebook))
    return Assignment(ranks.total(sums), ranks.total(counts), vectors, codes, codebook)


def add_up(
    vectors: Float[Tensor, "vectors dim"], codes: Int[Tensor, " vectors"], sums: Float[Tensor, "codes dim"]
) -> None:
    """Adds each vector to the sum of its code.

    The sums are fp64, which makes them the same fp32 numbers in whatever order, and by however many processes, they
    were added up.
    """
    with _deterministic():
        for part, names in zip(vectors.split(ROWS), codes.split(ROWS), strict=True):
            sums.index_add_(0, names, part.double())


@contextmanager
def _deterministic() -> Iterator[None]:
    # On a GPU `index_add_` otherwise adds in the order in which threads come.
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def energy(vectors: Float[Tensor, "own dim"], codebook: Float[Tensor, "codes dim"]) -> Float[Tensor, " own"]:
    """Gives the squared distance of each vector to its code."""
    return energy_left(vectors, codebook, nearest(vectors, codebook))


def energy_left(
    vectors: Float[Tensor, "own dim"], codebook: Float[Tensor, "codes dim"], codes: Int[Tensor, " own"]
) -> Float[Tensor, " own"]:
    """Gives the squared distance of each vector to the code that it was given."""
    # In parts: another matrix of the vectors' size costs more than the arithmetic.
    parts = zip(vectors.split(ROWS), codes.split(ROWS), strict=True)
    left = [torch.linalg.vector_norm(part - codebook[names], dim=1) for part, names in parts]
    return torch.cat(left).square() if left else vectors.new_empty(0)


def at_all_depths(
    vectors: Float[Tensor, "drawn dim"], codebook: Float[Tensor, "codes dim"], depths: int
) -> Float[Tensor, "drawn dim"]:
    """Gives what is left of vectors before one of the depths of a codebook, each depth in turn."""
    left = vectors.clone()
    for depth in range(1, depths):
        deeper = torch.arange(len(left), device=left.device) % depths >= depth
        left[deeper] = left[deeper] - codebook[nearest(left[deeper], codebook)]
    return left
