"""The sigmoid contrast between regions of pictures and phrases, by which the vision tower learns."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SiglipVisionModel

from asvr.world.regions import Box, Region


class RegionContrast(nn.Module):
    """A vision tower with the text side that teaches it, which is thrown away afterwards.

    After SigLIP (arXiv 2303.15343): each pair of a region and a text is a yes-or-no question of its own. The texts of
    a batch are its phrases, embedded as the sum of their words, and every single word of the vocabulary, so that each
    word has a contrast of its own, a letter too, though few pairs of phrases differ in their letters alone.
    A region's features are the mean of a random half of its patches, so that each patch learns to say the whole.

    Args:
        tower: The tower to train.
        vocabulary: All words of the phrases.
        dim: Size of the space that regions and texts share.
    """

    def __init__(self, tower: SiglipVisionModel, vocabulary: Sequence[str], *, dim: int = 128) -> None:
        super().__init__()
        self.tower = tower
        self.index = {word: number for number, word in enumerate(vocabulary)}
        self.projection = nn.Linear(tower.config.hidden_size, dim)
        self.words = nn.Embedding(len(vocabulary), dim)
        # SigLIP's ten and minus ten suit thousands of texts in a batch; here one in about fifty is right.
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def forward(
        self, pixel_values: Float[Tensor, "images channels height width"], regions: Sequence[Sequence[Region]]
    ) -> Float[Tensor, ""]:
        """Gives the loss of a batch of pictures: summed over texts, averaged over regions.

        Args:
            pixel_values: The pictures.
            regions: The regions of each picture.
        """
        patches = self.tower(pixel_values=pixel_values).last_hidden_state
        flat = [(picture, region) for picture, found in enumerate(regions) for region in found]
        grid = math.isqrt(patches.shape[1])
        weights = half(torch.stack([patches_in(region.box, grid=grid) for _, region in flat])).to(patches.device)
        pictures = torch.tensor([picture for picture, _ in flat], device=patches.device)
        pooled = torch.einsum("rp,rpd->rd", weights, patches[pictures])
        texts, matches = self._texts([region for _, region in flat])
        logits = F.normalize(self.projection(pooled), dim=-1) @ texts.T * self.log_scale.exp() + self.bias
        losses = F.binary_cross_entropy_with_logits(logits, matches.to(logits.device), reduction="none")
        return losses.sum() / len(flat)

    def _texts(self, regions: Sequence[Region]) -> tuple[Float[Tensor, "texts dim"], Float[Tensor, "regions texts"]]:
        phrases = sorted({region.words for region in regions})
        number = {phrase: len(self.index) + order for order, phrase in enumerate(phrases)}
        matches = torch.zeros(len(regions), len(self.index) + len(phrases))
        for row, region in enumerate(regions):
            matches[row, [*(self.index[word] for word in region.words), number[region.words]]] = 1
        sums = torch.stack([self.words(self._ids(phrase)).sum(0) for phrase in phrases])
        return F.normalize(torch.cat([self.words.weight, sums]), dim=-1), matches

    def _ids(self, phrase: Sequence[str]) -> Int[Tensor, " words"]:
        return torch.tensor([self.index[word] for word in phrase], device=self.words.weight.device)


def patches_in(box: Box, *, grid: int) -> Float[Tensor, " patches"]:
    """Marks with one the patches of a square grid with their centres in a box; of a tiny box, the one at its centre."""
    left, top, right, bottom = box
    centres = (torch.arange(grid) + 0.5) / grid
    rows = (top <= centres) & (centres < bottom)
    columns = (left <= centres) & (centres < right)
    if not rows.any() or not columns.any():
        rows = torch.arange(grid) == int((top + bottom) / 2 * grid)
        columns = torch.arange(grid) == int((left + right) / 2 * grid)
    return (rows[:, None] & columns[None, :]).flatten().float()


def half(inside: Float[Tensor, "regions patches"]) -> Float[Tensor, "regions patches"]:
    """Gives the weights of a mean over a random half of the patches marked in each row, one of them at least."""
    num_kept = (inside.sum(1, keepdim=True) // 2).clamp(min=1)
    rank = (torch.rand_like(inside) - 2 * inside).argsort(1).argsort(1)
    return (rank < num_kept) / num_kept
