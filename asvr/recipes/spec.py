"""What a recipe is made of: frozen values that say what to build, and build it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from transformers import LlavaForConditionalGeneration

from asvr.heads.depth_transformer import DepthTransformer
from asvr.models.grids import visual_grid
from asvr.objective import Alignment, Supervision
from asvr.targets.cache import CachedCodes
from asvr.targets.own_tower import OwnTowerCodes
from asvr.targets.tokenizer import VisualTokenizer

CodeTargets = VisualTokenizer | OwnTowerCodes | CachedCodes
"""Target encoders that give codes, and hold the codebooks that a head looks them up in."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The stock model before it is trained.

    Args:
        language_model: Hub name, folder, or embedded name of a causal language model.
        vision_tower: The same of a vision tower.
        feature_layer: Which of the tower's hidden states the projector reads.
    """

    language_model: str
    vision_tower: str
    feature_layer: int = -2


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

    def load(self, grid: tuple[int, int]) -> VisualTokenizer | CachedCodes:
        """Loads the tokenizer, or opens the cache of its codes, for a model whose visual tokens have a grid."""
        wanted = grid if self.resample else None
        if self.cache is not None:
            return CachedCodes.open(self.cache, self.tokenizer, grid=wanted)
        return VisualTokenizer.from_pretrained(self.tokenizer, grid=wanted)

    def build(self, vlm: LlavaForConditionalGeneration) -> CodeTargets:
        """Loads the tokenizer, and lets it look at the model's own tower where that is meant."""
        target = self.load(visual_grid(vlm.config))
        if self.own_tower and isinstance(target, VisualTokenizer):
            return OwnTowerCodes(target, vlm.model.vision_tower)
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
    """A visual loss before it is built: a target, a head for it, and a weight."""

    target: CodesSpec
    head: DepthTransformerSpec
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a weight that is no factor of a loss."""
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"supervision.weight is {self.weight}: it must be a number from zero up")

    def build(self, vlm: LlavaForConditionalGeneration) -> Supervision:
        """Loads the target and makes a fresh head."""
        target = self.target.build(vlm)
        return Supervision(target, self.head.build(vlm.config.get_text_config().hidden_size, target), self.weight)


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How a stage descends: AdamW with a cosine schedule.

    Args:
        batch_size: Conversations per optimisation step, over all ranks and accumulated micro-batches.
        learning_rate: Peak learning rate.
        epochs: Passes over the stage's conversations.
        warmup_ratio: Share of the steps in which the rate rises.
        weight_decay: AdamW's.
        max_grad_norm: Gradients are scaled down to this norm.
    """

    batch_size: int
    learning_rate: float
    epochs: float = 1.0
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what cannot train."""
        above_zero = {
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "max_grad_norm": self.max_grad_norm,
        }
        for name, value in above_zero.items():
            if not 0 < value < math.inf:
                raise ValueError(f"optimisation.{name} is {value}: it must be a number above zero")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"optimisation.warmup_ratio is {self.warmup_ratio}: it is a share, from 0 to below 1")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"optimisation.weight_decay is {self.weight_decay}: it must be zero or above")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One optimisation run: what it reads, what it trains, and what it adds to the text loss.

    Args:
        name: Folder of the stage in the run, `pretrain` or `instruct`.
        data: The conversations it is meant for, in words; the user gives the files.
        template: Name of a chat template.
        trainable: Prefixes of the objective's parameter names that train; every other parameter is frozen.
        optimisation: Learning rate, global batch size and schedule.
        supervision: Visual losses by name; none makes the stage text-only.
        max_length: Longest sequence in tokens.
        companions: Unlabelled pictures that ride along with each conversation.
        gradient_checkpointing: Whether the language model's activations are computed again in the backward pass.
    """

    name: str
    data: str
    template: Literal["plain", "vicuna_v1", "chatml", "mistral"]
    trainable: tuple[str, ...]
    optimisation: Optimisation
    supervision: Mapping[str, SupervisionSpec] = field(default_factory=dict)
    max_length: int = 2048
    companions: int = 0
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuses companions that nothing would learn from, and lengths that hold nothing."""
        if self.max_length < 1 or self.companions < 0:
            raise ValueError(
                f"stage {self.name!r} has max_length {self.max_length} and {self.companions} companion(s): the length "
                "must be one at least, the companions zero at least"
            )
        if self.companions and not self.supervision:
            raise ValueError(
                f"stage {self.name!r} has {self.companions} unlabelled picture(s) beside each conversation, but no "
                "visual loss to learn from them: set companions=0, or use a recipe with supervision"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One row of the paper: everything that decides its numbers, and nothing that does not.

    Args:
        name: What the command line and the run folder call it.
        source: The table and row it reproduces, or why it exists.
        model: Language model and vision tower.
        stages: Stages in order; each starts from the weights of the one before.
        alignment: Which hidden state reconstructs a visual token.
        precision: Arithmetic of the forward pass; weights and optimiser states are fp32.
    """

    name: str
    source: str
    model: ModelSpec
    stages: tuple[Stage, ...]
    alignment: Alignment = "next"
    precision: Literal["fp32", "bf16"] = "fp32"

    def stage(self, name: str) -> Stage:
        """Finds a stage by its name.

        Raises:
            ValueError: If there is none of that name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.stages)
        raise ValueError(f"recipe {self.name!r} has no stage {name!r}: choose one of {names}")
