"""From a stage and its data to an objective, a dataset and a collator that fit each other, or a clear refusal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration, LlavaProcessor

from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset
from asvr.data.template import TEMPLATES, Encoded, encode
from asvr.models.build import IMAGE_TOKEN, build_vlm
from asvr.models.grids import visual_grid
from asvr.objective import Objective, Supervision
from asvr.recipes.spec import Recipe, Stage
from asvr.targets.tokenizer import ImagePreparer, VisualTokenizer, fingerprint

CACHE_BYTES = 2**30
"""Prepared images kept in memory: all of a laptop-size data set, a drop of a real one."""

MAX_ENCODED = 100_000
"""Encoded conversations kept in memory, about 0.5 GB at LLaVA's lengths."""


@dataclass
class Encoder:
    """Turns conversations into ids and labels, each of them once.

    Args:
        processor: Processor of the model, whose tokenizer is used.
        template: Jinja chat template.
        tokens_per_image: Visual tokens of one image.
        max_length: Longest sequence in tokens.
    """

    processor: LlavaProcessor
    template: str
    tokens_per_image: int
    max_length: int
    known: dict[Conversation, Encoded] = field(default_factory=dict)

    def __call__(self, conversation: Conversation) -> Encoded:
        """Encodes a conversation; raises as `asvr.data.template.encode`."""
        if conversation in self.known:
            return self.known[conversation]
        encoded = encode(
            conversation,
            self.processor.tokenizer,
            chat_template=self.template,
            image_token=IMAGE_TOKEN,
            tokens_per_image=[self.tokens_per_image] * len(conversation.images),
            max_length=self.max_length,
        )
        if len(self.known) < MAX_ENCODED:
            self.known[conversation] = encoded
        return encoded


def load_vlm(
    recipe: Recipe, previous: Path | None, *, seed: int
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Assembles the recipe's model, or loads what the stage before has saved."""
    if previous is None:
        model = recipe.model
        return build_vlm(model.language_model, model.vision_tower, seed=seed, feature_layer=model.feature_layer)
    vlm = LlavaForConditionalGeneration.from_pretrained(previous, dtype=torch.float32)
    return vlm, AutoProcessor.from_pretrained(previous, backend="pil")


def build_supervision(
    stage: Stage, vlm: LlavaForConditionalGeneration, *, seed: int, check_tower: bool
) -> dict[str, Supervision]:
    """Loads a stage's targets and makes its heads; their initial weights take nothing from the model's randomness.

    Raises:
        ValueError: If a target's grid is not the model's, or its tokenizer is of another tower than it must be.
    """
    grid, tower = visual_grid(vlm.config), cache(lambda: fingerprint(vlm.model.vision_tower))
    supervision = {}
    for offset, (name, spec) in enumerate(stage.supervision.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1_000 + offset)
            term = spec.build(vlm.config.text_config.hidden_size)
        assert isinstance(term.target, VisualTokenizer)
        if term.target.grid != grid:
            raise ValueError(
                f"supervision {name!r}: the tokenizer {spec.target.tokenizer} has the grid {term.target.grid}, but an "
                f"image has {grid} visual tokens in the model: fit a tokenizer on a tower with the model's grid"
            )
        if check_tower and spec.target.own_tower and term.target.tower_sha256 != tower():
            raise ValueError(
                f"supervision {name!r}: the tokenizer {spec.target.tokenizer} was fitted on another vision tower than "
                "the model's: fit one with `asvr tokenizer fit --tower ...`, or set "
                f"stages.{stage.name}.supervision.{name}.target.own_tower=false if the difference is meant"
            )
        supervision[name] = term
    return supervision


def build_dataset(
    stage: Stage,
    objective: Objective,
    processor: LlavaProcessor,
    *,
    conversations: list[Conversation],
    companions: list[Conversation],
    seed: int,
) -> ConversationDataset:
    """Connects conversations to the processor's pixels and to each target encoder's own."""
    targets: Mapping[str, Supervision] = dict(objective.supervision.items())  # type: ignore[assignment]
    return ConversationDataset(
        conversations,
        encode=build_encoder(stage, objective.vlm.config, processor),
        prepare=ImagePreparer(processor.image_processor),
        target_prepares={name: term.target.prepare for name, term in targets.items()},
        companions=companions,
        companions_per_sample=stage.companions,
        seed=seed,
        cache_bytes=CACHE_BYTES,
    )


def build_encoder(stage: Stage, config: object, processor: LlavaProcessor) -> Encoder:
    """Makes the stage's encoder of conversations for a model."""
    return Encoder(processor, TEMPLATES[stage.template], math.prod(visual_grid(config)), stage.max_length)
