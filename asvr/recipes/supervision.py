"""A visual loss before it is built: a target, a head for it, and a weight."""

import math
from dataclasses import dataclass

from asvr.heads.depth_transformer import DepthTransformer
from asvr.models.build import Vlm
from asvr.models.grids import visual_grid
from asvr.models.vision import inner_tower
from asvr.objective import Supervision
from asvr.targets.cache import CachedCodes
from asvr.targets.own_tower import OwnTowerCodes
from asvr.targets.tokenizer import VisualTokenizer

CodeTargets = VisualTokenizer | OwnTowerCodes | CachedCodes
"""Target encoders that give codes, and hold the codebooks that a head looks them up in."""


@dataclass(frozen=True, kw_only=True)
class CodesSpec:
    """Targets that are codes of a visual tokenizer.

    Args:
        tokenizer: Folder of a visual tokenizer.
        own_tower: Whether the codes are of the very features that the model's own frozen vision tower computes, so
            that one tower runs, not two; a tokenizer of another tower is then refused.
        resample: Whether features are resampled to the grid of the model's visual tokens where the tokenizer's grid
            is another; it is refused otherwise.
        cache: Folder with the tokenizer's codes of all pictures (`asvr targets cache`), so that no tower runs for them;
            None computes the codes while training.
    """

    tokenizer: str
    own_tower: bool = False
    resample: bool = False
    cache: str | None = None

    @property
    def folder(self) -> str:
        """What holds the targets, for errors."""
        return self.tokenizer

    def load(self, grid: tuple[int, int]) -> VisualTokenizer | CachedCodes:
        """Loads the tokenizer, or opens the cache of its codes, for a model whose visual tokens have a grid."""
        wanted = grid if self.resample else None
        if self.cache is not None:
            return CachedCodes.open(self.cache, self.tokenizer, grid=wanted)
        return VisualTokenizer.from_pretrained(self.tokenizer, grid=wanted)

    def build(self, vlm: Vlm) -> CodeTargets:
        """Loads the tokenizer, and lets it look at the model's own tower where that is meant."""
        target = self.load(visual_grid(vlm.config))
        if self.own_tower and isinstance(target, VisualTokenizer):
            return OwnTowerCodes(target, inner_tower(vlm.model.vision_tower))
        return target


@dataclass(frozen=True, kw_only=True)
class DepthTransformerSpec:
    """The paper's head over codes; the defaults are the release's size."""

    width: int = 2048
    num_layers: int = 3
    head_width: int = 128

    def build(self, hidden_size: int, target: CodeTargets) -> DepthTransformer:
        """Makes a fresh head for a target's codes."""
        return DepthTransformer(
            hidden_size,
            target.quantizer.codebooks,
            width=self.width,
            num_layers=self.num_layers,
            head_width=self.head_width,
        )


@dataclass(frozen=True, kw_only=True)
class SupervisionSpec:
    """A visual loss before it is built.

    Args:
        target: What is to be reconstructed.
        head: What learns to.
        weight: Factor of the loss in the objective's sum.
        layer: Which hidden state of the language model the head reads; -1 is the one that the text head reads.
    """

    target: CodesSpec
    head: DepthTransformerSpec
    weight: float = 1.0
    layer: int = -1

    def __post_init__(self) -> None:
        """Refuses a weight that is no factor of a loss."""
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"supervision.weight is {self.weight}: it must be a number from zero up")

    def build(self, vlm: Vlm) -> Supervision:
        """Loads the target and makes a fresh head."""
        target = self.target.build(vlm)
        head = self.head.build(vlm.config.get_text_config().hidden_size, target)
        return Supervision(target, head, self.weight, self.layer)
