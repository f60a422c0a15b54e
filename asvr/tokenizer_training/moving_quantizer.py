"""A residual quantiser inside a network that trains: straight through, with codebooks that follow the vectors."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.refine import MovingAverages
from asvr.tokenizers.settings import FitSettings


class Quantised(NamedTuple):
    """What a quantiser made of vectors.

    Args:
        vectors: The quantised vectors, fp32; their gradient is passed on to the vectors as it is (straight-through).
        codes: The codes.
        commitment: Mean over depths of the squared distance, per number, between the vectors and the sum of the code
            vectors so far (equation 8 of RQ-VAE, arXiv 2203.01941); its gradient reaches the vectors only.
    """

    vectors: Float[Tensor, "images positions width"]
    codes: Int[Tensor, "images positions depth"]
    commitment: Float[Tensor, ""]


class MovingQuantizer(nn.Module):
    """Quantises with codebooks that move once per optimisation step (van den Oord et al. 2017, appendix A.1).

    What it is shown in training is kept until `update`, and the codebooks stand still until then: a step has the same
    outcome however many micro-batches it is cut into. The averages are those of `asvr tokenizer fit`'s refinement.

    Args:
        settings: Depth, codes, decay, seed, and whether the depths share a codebook.
        width: Width of the vectors.
    """

    counts: Float[Tensor, "books codes"]
    sums: Float[Tensor, "books codes width"]

    def __init__(self, settings: FitSettings, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.quantizer = ResidualQuantizer(torch.zeros(settings.books, settings.num_codes, width), settings.depth)
        self.register_buffer("counts", torch.zeros(settings.books, settings.num_codes))
        self.register_buffer("sums", torch.zeros(settings.books, settings.num_codes, width))
        self._seen: list[Tensor] = []

    def start(
        self,
        codebooks: Float[Tensor, "books codes width"],
        vectors: Float[Tensor, "own width"],
        *,
        per_step: int,
        ranks: Ranks,
    ) -> None:
        """Begins with codebooks, as if steps of so many vectors had long been like this process's and the others'."""
        self._take(MovingAverages.of_sample(codebooks, vectors, per_step=per_step, settings=self.settings, ranks=ranks))

    def forward(self, vectors: Float[Tensor, "images positions width"]) -> Quantised:
        """Quantises in fp32, whatever the dtype; in training mode the vectors are kept for `update`."""
        with torch.autocast(vectors.device.type, enabled=False):
            given = vectors.float()
            if self.training:
                self._seen.append(given.detach().flatten(0, 1))
            codes = self.quantizer.encode(given.detach())
            total, commitment = torch.zeros_like(given), given.new_zeros(())
            for depth, book in enumerate(self.quantizer.codebooks):
                total = total + book[codes[..., depth]]
                commitment = commitment + F.mse_loss(given, total)
            straight = given + (total - given).detach()
        return Quantised(straight, codes, commitment / self.quantizer.depth)

    @torch.no_grad()
    def update(self, step: int, ranks: Ranks) -> None:
        """Moves the codebooks towards what all processes were shown since the last time.

        Args:
            step: Number of the optimisation step, which decides where unused codes begin anew.
            ranks: The processes.
        """
        depths = self.settings.depth // self.settings.books
        averages = MovingAverages(self.sums, self.counts, depths=depths, settings=self.settings)
        averages.step(torch.cat(self._seen), step, ranks)
        self._seen = []
        self._take(averages)

    def perplexity(self) -> Float[Tensor, ""]:
        """Says how many equally used codes the moving counts amount to, averaged over codebooks."""
        share = self.counts / self.counts.sum(1, keepdim=True)
        return torch.special.entr(share).sum(1).exp().mean()

    @torch.no_grad()
    def _take(self, averages: MovingAverages) -> None:
        self.sums.copy_(averages.sums)
        self.counts.copy_(averages.counts)
        self.quantizer.books.copy_(averages.codebooks)
