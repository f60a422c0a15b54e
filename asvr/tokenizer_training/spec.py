"""What a recipe for a trained tokenizer is made of: frozen values."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

BlockKind = Literal["none", "linear", "attention", "shortcut", "conv"]
"""Block before or after quantisation, by the `kind` under which `asvr/targets/storage.py` keeps it; `shortcut` adds two
layers and stands before quantisation only."""


@dataclass(frozen=True, kw_only=True)
class QuantizerSpec:
    """A residual quantiser whose codebooks follow the data by moving averages; the defaults are DualToken's.

    Args:
        depth: Codes per visual token.
        num_codes: Code vectors per codebook.
        width: Width of what is quantised.
        shared: Whether all depths share one codebook.
        decay: Share of the moving averages that a step keeps.
    """

    depth: int = 8
    num_codes: int = 16_384
    width: int = 32
    shared: bool = True
    decay: float = 0.99

    def __post_init__(self) -> None:
        """Refuses what cannot quantise."""
        _refuse_unless(self, ("depth", "num_codes", "width"), lambda value: value >= 1, "must be one at least")
        _refuse_unless(self, ("decay",), lambda value: 0 <= value < 1, "is a share, from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class SemanticSpec:
    """The semantic branch: an inner layer is quantised and put back, and must still say what the teacher says.

    Args:
        layer: Hidden state that is quantised, as Hugging Face counts them.
        pre: Block before quantisation.
        post: Block after it.
        quantizer: The quantiser.
        feature_weight: Of the distance between the reconstructed layer and the teacher's.
        pooled_weight: Of the distance between the pooled outputs; needs a tower that pools patch features (SigLIP).
        contrastive_weight: Of the sigmoid contrastive loss with the pictures' captions; needs the tower's text half.
        commitment_weight: Of the distance between what is quantised and its code vectors.
    """

    layer: int = -2
    pre: BlockKind = "attention"
    post: BlockKind = "attention"
    quantizer: QuantizerSpec = field(default_factory=QuantizerSpec)
    feature_weight: float = 5.0
    pooled_weight: float = 1.0
    contrastive_weight: float = 0.0
    commitment_weight: float = 5.0

    def __post_init__(self) -> None:
        """Refuses weights that are none."""
        _refuse_unless(self, _weights(self), _is_weight, "must be a number from zero up")


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """VQGAN's decoder (`asvr/targets/pixel_decoder.py`); the defaults are DualToken's, for 384 pixels.

    Args:
        width: Width of what the block after quantisation gives it.
        latent: Rows, and columns, at which decoding begins; each level but one doubles them.
        latent_channels: Channels there.
        level_channels: Channels of each level, finest first.
        blocks: Residual blocks per level, and one more.
        attention_levels: Levels, numbered as their channels are, whose blocks are followed by attention.
    """

    width: int = 1152
    latent: int = 24
    latent_channels: int = 1024
    level_channels: tuple[int, ...] = (128, 128, 512, 512, 1024)
    blocks: int = 2
    attention_levels: tuple[int, ...] = (4,)


@dataclass(frozen=True, kw_only=True)
class PerceptualSpec:
    """Distance of pictures in the eyes of another network.

    Args:
        weight: Of this loss; zero does without.
        backbone: Hub name or folder of any vision model whose hidden states Hugging Face gives; none is shipped.
        layers: Which hidden states are compared.
    """

    weight: float = 1.0
    backbone: str = ""
    layers: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self) -> None:
        """Refuses what compares nothing."""
        _refuse_unless(self, ("weight",), _is_weight, "must be a number from zero up")
        if self.weight and not self.layers:
            raise ValueError("perceptual.layers names no hidden state to compare: name one at least")


@dataclass(frozen=True, kw_only=True)
class AdversarialSpec:
    """A PatchGAN that learns to tell decoded pictures from real ones; the defaults are DualToken's.

    Args:
        weight: Of the generator's loss, times the adaptive weight; zero does without.
        start: Step at which it begins.
        channels: Filters of the discriminator's first level.
        levels: Times that it halves the picture.
    """

    weight: float = 0.75
    start: int = 20_000
    channels: int = 64
    levels: int = 3

    def __post_init__(self) -> None:
        """Refuses what cannot train."""
        _refuse_unless(self, ("weight", "start"), _is_weight, "must be a number from zero up")
        _refuse_unless(self, ("channels", "levels"), lambda value: value >= 1, "must be one at least")


@dataclass(frozen=True, kw_only=True)
class AppearanceSpec:
    """The pixel branch: shallow layers are quantised and decoded into the picture; the defaults are DualToken's.

    Args:
        layers: Hidden states that are quantised, side by side.
        pre: Block before quantisation.
        shortcut_weight: Share of the second layer where `pre` is `shortcut`.
        post: Block after quantisation.
        quantizer: The quantiser.
        decoder: From there to pixels.
        pixel_weight: Of the mean squared error of normalised pixels.
        perceptual: Perceptual loss.
        adversarial: Adversarial loss.
        commitment_weight: Of the distance between what is quantised and its code vectors.
    """

    layers: tuple[int, ...] = (6, 4)
    pre: BlockKind = "shortcut"
    shortcut_weight: float = 0.6
    post: BlockKind = "attention"
    quantizer: QuantizerSpec = field(default_factory=QuantizerSpec)
    decoder: DecoderSpec = field(default_factory=DecoderSpec)
    pixel_weight: float = 5.0
    perceptual: PerceptualSpec = field(default_factory=PerceptualSpec)
    adversarial: AdversarialSpec = field(default_factory=AdversarialSpec)
    commitment_weight: float = 5.0

    def __post_init__(self) -> None:
        """Refuses weights that are none, and a sum of other than two layers."""
        _refuse_unless(self, _weights(self), _is_weight, "must be a number from zero up")
        if self.pre == "shortcut" and len(self.layers) != 2:
            raise ValueError(f"appearance.pre=shortcut adds two layers, but appearance.layers names {self.layers}")


@dataclass(frozen=True, kw_only=True)
class TokenizerOptimisation:
    """How the tokenizer descends: AdamW, linear warm-up, then a cosine to zero; the defaults are DualToken's.

    Args:
        batch_size: Pictures per step, over all ranks and micro-batches.
        steps: Steps in all.
        learning_rate: Peak learning rate, of the discriminator's Adam too.
        betas: Of both.
        weight_decay: AdamW's, of parameters with two dimensions and more.
        warmup_steps: Steps in which the rate rises.
    """

    batch_size: int = 256
    steps: int
    learning_rate: float = 7.2e-5
    betas: tuple[float, ...] = (0.5, 0.9)
    weight_decay: float = 1e-4
    warmup_steps: int = 10_000

    def __post_init__(self) -> None:
        """Refuses what cannot train."""
        _refuse_unless(self, ("batch_size", "steps"), lambda value: value >= 1, "must be one at least")
        _refuse_unless(self, ("learning_rate",), lambda value: 0 < value < math.inf, "must be a number above zero")
        _refuse_unless(self, ("weight_decay", "warmup_steps"), _is_weight, "must be a number from zero up")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"optimisation.betas is {self.betas}: it must be two shares, from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class TokenizerRecipe:
    """A trained tokenizer: everything that decides its numbers but the pictures.

    Args:
        name: What the command line calls it.
        source: What it reproduces, or why it exists.
        data: The pictures it is meant for, in words; the user gives them.
        tower: Vision tower whose layers are quantised: hub name, folder or embedded name.
        optimisation: Learning rate, batch and schedule.
        semantic: The semantic branch, if there is one.
        appearance: The pixel branch, if there is one.
        image_size: Side of the square that every picture is squeezed into; None keeps the tower's own preparation.
        train_tower: Whether the tower moves too; its teacher is what it was.
        crop: Least share of a picture's area that a random crop keeps; 1 does not crop.
        precision: Arithmetic of the forward pass; weights are fp32, and so is the search for codes.
    """

    name: str
    source: str
    data: str
    tower: str
    optimisation: TokenizerOptimisation
    semantic: SemanticSpec | None = None
    appearance: AppearanceSpec | None = None
    image_size: int | None = None
    train_tower: bool = True
    crop: float = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"

    def __post_init__(self) -> None:
        """Refuses a recipe that trains nothing."""
        if self.semantic is None and self.appearance is None:
            raise ValueError(
                f"tokenizer recipe {self.name!r} has neither a semantic nor an appearance branch: keep one"
            )
        _refuse_unless(self, ("crop",), lambda value: 0 < value <= 1, "is a share, above 0 and at most 1")


def _weights(spec: Any) -> tuple[str, ...]:
    return tuple(name for name in vars(spec) if name.endswith("_weight"))


def _is_weight(value: int | float) -> bool:
    return 0 <= value < math.inf


def _refuse_unless(spec: Any, names: tuple[str, ...], holds: Callable[[int | float], bool], rule: str) -> None:
    for name in names:
        if not holds(vars(spec)[name]):
            raise ValueError(f"{type(spec).__name__}.{name} is {vars(spec)[name]}: it {rule}")
