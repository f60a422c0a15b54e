"""What a recipe is made of: frozen values that say what to build."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from asvr.data.manifest import MANIFEST
from asvr.models.visual_input import AnyResInput, ContinuousInput, VisualInput
from asvr.objective import Alignment
from asvr.recipes.optimisation import LoraSpec, Optimisation
from asvr.recipes.supervision import CodesSpec, DenoisingSpec, SupervisionSpec


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The stock model before it is trained.

    Args:
        language_model: Hub name, folder, or embedded name of a causal language model.
        vision_tower: The same of a vision tower.
        visual_input: How pictures enter the language model.
        feature_layer: Which of the tower's hidden states the projector reads.
    """

    language_model: str
    vision_tower: str
    visual_input: VisualInput = field(default_factory=ContinuousInput)
    feature_layer: int = -2


@dataclass(frozen=True, kw_only=True)
class Share:
    """A part of a stage's data.

    Args:
        name: Of a data set in `asvr.data.manifest.MANIFEST`.
        weight: How often an epoch goes through it: 0.5 takes half of its records, drawn by the seed, 2 each twice.
    """

    name: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuses an unknown data set, and a weight that takes nothing."""
        if self.name not in MANIFEST:
            raise ValueError(f"there is no data set {self.name!r} in the manifest: choose one of {', '.join(MANIFEST)}")
        if not 0 < self.weight < math.inf:
            raise ValueError(f"mixture.{self.name}.weight is {self.weight}: it must be a number above zero")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One optimisation run: what it reads, what it trains, and what it adds to the text loss.

    Args:
        name: Folder of the stage in the run: `pretrain`, `middle` or `instruct`.
        mixture: The data sets that it is meant for, joined; the user says where they are.
        template: Name of a chat template.
        trainable: Prefixes of the objective's parameter names that train; every other parameter is frozen.
        optimisation: Learning rate, global batch size and schedule.
        supervision: Visual losses by name; none makes the stage text-only.
        adapter: Low-rank adapters that train in place of the language model; None where it trains whole or not at all.
        max_length: Longest sequence in tokens.
        companions: Unlabelled pictures that ride along with each conversation.
        gradient_checkpointing: Whether activations of the language model and of depth transformers are computed again
            in the backward pass.
        draft: Decode JPEG pictures at 1/2, 1/4 or 1/8 of their size where that is still this many times, one at least,
            the size that they are resized to; None, as in the paper, decodes them in full. Faster, and the pixels
            differ slightly: docs/data.md says how much.
    """

    name: str
    mixture: tuple[Share, ...]
    template: Literal["plain", "vicuna_v1", "chatml", "mistral", "llama3"]
    trainable: tuple[str, ...]
    optimisation: Optimisation
    supervision: Mapping[str, SupervisionSpec] = field(default_factory=dict)
    adapter: LoraSpec | None = None
    max_length: int = 2048
    companions: int = 0
    gradient_checkpointing: bool = False
    draft: float | None = None

    def __post_init__(self) -> None:
        """Refuses companions that nothing would learn from, lengths that hold nothing, and a base that also trains."""
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
        self._check_draft()
        names = [share.name for share in self.mixture]
        if len(set(names)) < len(names):
            raise ValueError(
                f"stage {self.name!r} names a data set twice in its mixture ({', '.join(names)}): name it once, with "
                "the weights added"
            )
        adapted = "vlm.model.language_model."
        whole = [prefix for prefix in self.trainable if prefix.startswith(adapted) or adapted.startswith(prefix)]
        if self.adapter is not None and whole:
            raise ValueError(
                f"stage {self.name!r} has an adapter in place of the language model, and trains {whole[0]!r} as well: "
                "leave that out of `trainable`, or set adapter=none"
            )

    def _check_draft(self) -> None:
        """Refuses drafts that would be blown up, and those of pictures that a cache knows by their whole pixels."""
        if self.draft is None:
            return
        if not 1 <= self.draft < math.inf:
            raise ValueError(f"stage {self.name!r} has draft {self.draft}: it must be 1 or more, or none")
        targets = [term.target for term in self.supervision.values()]
        cached = [one.cache for one in targets if isinstance(one, CodesSpec) and one.cache is not None]
        if cached:
            raise ValueError(
                f"stage {self.name!r} has draft {self.draft}, but the cache {cached[0]} holds codes of pictures "
                "decoded in full: set draft=none, or target.cache=none"
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

    def __post_init__(self) -> None:
        """Refuses over crops a denoising head, which takes one grid alone, and a cache, which has whole pictures."""
        heads = [term.head for stage in self.stages for term in stage.supervision.values()]
        if isinstance(self.model.visual_input, AnyResInput) and any(isinstance(head, DenoisingSpec) for head in heads):
            raise ValueError(
                f"recipe {self.name!r}: a denoising head reconstructs one grid of visual tokens, but AnyResInput has "
                "another for each picture: use ContinuousInput or MultiScaleInput, or a head that sees each visual "
                "token alone (DepthTransformerSpec, LinearSpec, CosineSpec)"
            )
        drafted = [stage.name for stage in self.stages if stage.draft is not None]
        if isinstance(self.model.visual_input, AnyResInput) and drafted:
            raise ValueError(
                f"recipe {self.name!r}: stage {drafted[0]!r} decodes pictures at a smaller size, but AnyResInput cuts "
                "them into tiles by their own: set draft=none"
            )
        targets = [term.target for stage in self.stages for term in stage.supervision.values()]
        cached = [one.cache for one in targets if isinstance(one, CodesSpec) and one.cache is not None]
        if isinstance(self.model.visual_input, AnyResInput) and cached:
            raise ValueError(
                f"recipe {self.name!r}: the cache {cached[0]} holds codes of whole pictures, but AnyResInput shows the "
                "model their tiles as well: set target.cache=none, and target.own_tower=true if the tokenizer is one "
                "of the model's own tower"
            )

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
