"""From a stage and its data to an objective, a dataset and a collator that fit each other, or a clear refusal."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PretrainedConfig

from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset
from asvr.data.template import TEMPLATES, Encoded, encode
from asvr.models.build import IMAGE_TOKEN, Vlm, VlmProcessor, build_vlm
from asvr.models.grids import visual_grid
from asvr.objective import Objective, Supervision
from asvr.recipes.spec import Recipe, Stage
from asvr.targets.preparing import ImagePreparer
from asvr.training.check_target import check_grid

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

    processor: VlmProcessor
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


def load_vlm(recipe: Recipe, previous: Path | None, *, seed: int) -> tuple[Vlm, VlmProcessor]:
    """Assembles the recipe's model, or loads what the stage before has saved."""
    if previous is None:
        model = recipe.model
        return build_vlm(
            model.language_model,
            model.vision_tower,
            seed=seed,
            feature_layer=model.feature_layer,
            visual_input=model.visual_input,
        )
    vlm = AutoModelForImageTextToText.from_pretrained(previous, dtype=torch.float32)
    assert isinstance(vlm, Vlm)
    return vlm, AutoProcessor.from_pretrained(previous, backend="pil")


def build_supervision(stage: Stage, vlm: Vlm, *, seed: int) -> dict[str, Supervision]:
    """Loads a stage's targets and makes its heads; their initial weights take nothing from the model's randomness.

    Raises:
        ValueError: If a target's grid is not the model's.
    """
    supervision = {}
    for offset, (name, spec) in enumerate(stage.supervision.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1_000 + offset)
            term = spec.build(vlm)
        check_grid(name, spec, term.target, vlm.config)
        supervision[name] = term
    return supervision


def build_dataset(
    stage: Stage,
    objective: Objective,
    processor: VlmProcessor,
    *,
    conversations: list[Conversation],
    companions: list[Conversation],
    seed: int,
) -> ConversationDataset:
    """Connects conversations to the processor's pixels and to each target encoder's own."""
    return ConversationDataset(
        conversations,
        encode=build_encoder(stage, objective.vlm.config, processor),
        prepare=ImagePreparer(processor.image_processor),
        target_prepares={name: term.target.prepare for name, term in objective.terms()},
        companions=companions,
        companions_per_sample=stage.companions if companions else 0,
        seed=seed,
        cache_bytes=CACHE_BYTES,
    )


def build_encoder(stage: Stage, config: PretrainedConfig, processor: VlmProcessor) -> Encoder:
    """Makes the stage's encoder of conversations for a model."""
    return Encoder(processor, TEMPLATES[stage.template], math.prod(visual_grid(config)), stage.max_length)
