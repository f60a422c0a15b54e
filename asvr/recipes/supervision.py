"""A visual loss before it is built: a target, a head for it, and a weight."""

import math
from dataclasses import dataclass

from asvr.heads.cosine import CosineHead
from asvr.heads.denoising import DenoisingHead
from asvr.heads.depth_transformer import DepthTransformer, checkpoint_heads
from asvr.heads.diffusion_transformer import DiffusionTransformer, check_width
from asvr.heads.linear import LinearHead
from asvr.interfaces import TargetEncoder
from asvr.models.build import Vlm
from asvr.models.grids import visual_grid
from asvr.models.vision import inner_tower
from asvr.objective import Supervision
from asvr.subset import check_fraction
from asvr.targets.cache import CachedCodes
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.own_tower import OwnTowerCodes, OwnTowerFeatures
from asvr.targets.tokenizer import VisualTokenizer

CodeTargets = VisualTokenizer | OwnTowerCodes | CachedCodes
"""Target encoders that give codes, and hold the codebooks that a head looks them up in."""

FeatureTargets = ContinuousTargets | OwnTowerFeatures
"""Target encoders that give features of a known number of channels."""


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

    @property
    def reads_tower(self) -> bool:
        """Whether the targets are read off the model's own tower as it runs."""
        return self.own_tower and self.cache is None

    def load(self, grid: tuple[int, int]) -> VisualTokenizer | CachedCodes:
        """Loads the tokenizer, or opens the cache of its codes, for a model whose visual tokens have a grid."""
        wanted = grid if self.resample else None
        if self.cache is not None:
            return CachedCodes.open(self.cache, self.tokenizer, grid=wanted)
        return VisualTokenizer.from_pretrained(self.tokenizer, grid=wanted)

    def build(self, vlm: Vlm) -> CodeTargets:
        """Loads the tokenizer, and lets it look at the model's own tower where that is meant."""
        target = self.load(visual_grid(vlm.config))
        if not self.own_tower or not isinstance(target, VisualTokenizer):
            return target
        return OwnTowerCodes(target, inner_tower(vlm.model.vision_tower))


@dataclass(frozen=True, kw_only=True)
class FeaturesSpec:
    """Targets that are features as they are, standardised where their folder says so.

    Args:
        folder: Folder of continuous targets (`asvr targets features`).
        own_tower: Whether they are the very features that the model's own frozen vision tower computes, so that one
            tower runs, not two; targets of another tower are then refused.
        resample: Whether they are resampled to the grid of the model's visual tokens where theirs is another; it is
            refused otherwise.
    """

    folder: str
    own_tower: bool = False
    resample: bool = False

    @property
    def reads_tower(self) -> bool:
        """Whether the targets are read off the model's own tower as it runs."""
        return self.own_tower

    def load(self, grid: tuple[int, int]) -> ContinuousTargets:
        """Loads the targets for a model whose visual tokens have a grid."""
        return ContinuousTargets.from_pretrained(self.folder, grid=grid if self.resample else None)

    def build(self, vlm: Vlm) -> FeatureTargets:
        """Loads the targets, and lets them look at the model's own tower where that is meant."""
        target = self.load(visual_grid(vlm.config))
        return OwnTowerFeatures(target, inner_tower(vlm.model.vision_tower)) if self.own_tower else target


@dataclass(frozen=True, kw_only=True)
class DepthTransformerSpec:
    """The paper's head over codes; the defaults are the release's size."""

    width: int = 2048
    num_layers: int = 3
    head_width: int = 128

    def build(self, hidden_size: int, target: TargetEncoder) -> DepthTransformer:
        """Makes a fresh head for a target's codes."""
        assert isinstance(target, CodeTargets)
        return DepthTransformer(
            hidden_size,
            target.quantizer.codebooks,
            width=self.width,
            num_layers=self.num_layers,
            head_width=self.head_width,
        )


@dataclass(frozen=True, kw_only=True)
class LinearSpec:
    """A lighter head over codes, each depth without knowing the others; the default is as wide as the release's."""

    width: int = 2048

    def build(self, hidden_size: int, target: TargetEncoder) -> LinearHead:
        """Makes a fresh head for a target's codes."""
        assert isinstance(target, CodeTargets)
        codes = target.quantizer
        return LinearHead(hidden_size, codes.depth, num_codes=codes.num_codes, width=self.width)


@dataclass(frozen=True, kw_only=True)
class DenoisingSpec:
    """ROSS's head over features; the defaults are its release's (`denoiser_dit.py`, the smallest of three sizes).

    Args:
        width: Width of the diffusion transformer.
        num_layers: Number of its layers.
        num_heads: Attention heads of each.
        mlp_ratio: Inner width of each layer's MLP, in widths.
        repeats: Draws of noise for each picture and step of training.
    """

    width: int = 1024
    num_layers: int = 3
    num_heads: int = 16
    mlp_ratio: int = 4
    repeats: int = 4

    def __post_init__(self) -> None:
        """Refuses sizes that make no head."""
        check_width(self.width, self.num_heads)
        if min(self.num_layers, self.mlp_ratio, self.repeats) < 1:
            raise ValueError(
                f"a denoising head with num_layers {self.num_layers}, mlp_ratio {self.mlp_ratio} and repeats "
                f"{self.repeats}: each must be one at least"
            )

    def build(self, hidden_size: int, target: TargetEncoder) -> DenoisingHead:
        """Makes a fresh head for a target's features."""
        assert isinstance(target, FeatureTargets)
        network = DiffusionTransformer(
            hidden_size,
            target.channels,
            target.grid,
            width=self.width,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            mlp_ratio=self.mlp_ratio,
        )
        return DenoisingHead(network, self.repeats)


@dataclass(frozen=True, kw_only=True)
class CosineSpec:
    """VIRAL's head over features; the default is its release's (`projector_dim`).

    Args:
        width: Width between the three linear layers.
    """

    width: int = 2048

    def __post_init__(self) -> None:
        """Refuses a width that makes no head."""
        if self.width < 1:
            raise ValueError(f"a cosine head of width {self.width}: the width must be one at least")

    def build(self, hidden_size: int, target: TargetEncoder) -> CosineHead:
        """Makes a fresh head for a target's features."""
        assert isinstance(target, FeatureTargets)
        return CosineHead(hidden_size, target.channels, width=self.width)


TargetSpec = CodesSpec | FeaturesSpec

CodeHeadSpec = DepthTransformerSpec | LinearSpec
"""Heads over codes; the others are over features."""
HeadSpec = CodeHeadSpec | DenoisingSpec | CosineSpec


@dataclass(frozen=True, kw_only=True)
class SupervisionSpec:
    """A visual loss before it is built.

    Args:
        target: What is to be reconstructed.
        head: What learns to.
        weight: Factor of the loss in the objective's sum.
        layer: Which hidden state of the language model the head reads; -1 is the one that the text head reads.
        fraction: Share of a batch's visual tokens that each step supervises, drawn at random; every figure stays an
            estimate of the whole without bias. The head costs so much less.
    """

    target: TargetSpec
    head: HeadSpec
    weight: float = 1.0
    layer: int = -1
    fraction: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a head of the other kind than the target, a weight that is no factor, a fraction that is no share."""
        has_codes, over_codes = isinstance(self.target, CodesSpec), isinstance(self.head, CodeHeadSpec)
        if has_codes != over_codes:
            gives, takes = "codes" if has_codes else "features", "codes" if over_codes else "features"
            remedy = "DepthTransformerSpec or LinearSpec" if has_codes else "DenoisingSpec or CosineSpec"
            raise ValueError(
                f"supervision: the target {self.target.folder} gives {gives}, but {type(self.head).__name__} "
                f"reconstructs {takes}: use {remedy}, or a target that gives {takes} "
                f"({'CodesSpec' if over_codes else 'FeaturesSpec'})"
            )
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"supervision.weight is {self.weight}: it must be a number from zero up")
        check_fraction(self.fraction)
        if self.fraction < 1 and isinstance(self.head, DenoisingSpec):
            raise ValueError(f"fraction is {self.fraction}, but DenoisingSpec takes whole pictures: set fraction=1")

    def build(self, vlm: Vlm, *, gradient_checkpointing: bool = False) -> Supervision:
        """Loads the target and makes a fresh head, which may keep less for the backward pass (`checkpoint_heads`)."""
        target = self.target.build(vlm)
        head = self.head.build(vlm.config.get_text_config().hidden_size, target)
        if gradient_checkpointing:
            checkpoint_heads(head)
        return Supervision(target, head, self.weight, self.layer, fraction=self.fraction)
