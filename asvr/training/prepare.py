"""From a stage and its data to an objective, a dataset and a collator that fit each other, or a clear refusal."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaNextProcessor, PretrainedConfig

from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset
from asvr.data.images import ImagePreparation, ModelInputs, Size
from asvr.data.layout import ImageLayout
from asvr.data.template import Encoded, encode
from asvr.data.templates import TEMPLATES
from asvr.models.build import IMAGE_TOKEN, Vlm, VlmProcessor, build_vlm
from asvr.models.crops import Cut, EachCrop, Tiles, Uncut
from asvr.models.grids import file_layout, image_layout
from asvr.objective import Objective, Supervision
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import SupervisionSpec
from asvr.training.check_target import check_grid
from asvr.training.draft import draft_size

CACHE_BYTES = 2**30
"""Prepared images kept in memory: all of a laptop-size data set, a drop of a real one."""

MAX_ENCODED = 2**25
"""Tokens of encoded conversations kept in memory, at 17 bytes each about 0.5 GB."""


@dataclass
class Encoder:
    """Turns conversations into ids and labels, each of them once as long as memory is meant for them.

    Args:
        processor: Processor of the model, whose tokenizer is used.
        template: Jinja chat template.
        config: The model's; says how many visual tokens a picture has.
        max_length: Longest sequence in tokens.
    """

    processor: VlmProcessor
    template: str
    config: PretrainedConfig
    max_length: int
    known: dict[Conversation, Encoded] = field(default_factory=dict)
    num_known: int = 0

    def __call__(self, conversation: Conversation) -> Encoded:
        """Encodes a conversation; its `visual_mask` marks the visual tokens that have a target.

        Raises:
            ValueError: As `asvr.data.template.encode` and `asvr.models.grids.file_layout`.
        """
        if conversation in self.known:
            return self.known[conversation]
        encoded = self._encode(conversation)
        if self.num_known + len(encoded.input_ids) <= MAX_ENCODED:
            self.num_known += len(encoded.input_ids)
            self.known[conversation] = encoded
        return encoded

    def _encode(self, conversation: Conversation) -> Encoded:
        layouts = [file_layout(self.config, Path(path), record=conversation.id) for path in conversation.images]
        encoded = encode(
            conversation,
            self.processor.tokenizer,
            chat_template=self.template,
            image_token=IMAGE_TOKEN,
            tokens_per_image=[layout.num_tokens for layout in layouts],
            max_length=self.max_length,
        )
        if all(layout.in_order for layout in layouts):
            return encoded
        has_target = torch.cat([layout.has_target for layout in layouts])
        return replace(encoded, visual_mask=encoded.visual_mask.masked_scatter(encoded.visual_mask, has_target))


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
            term = spec.build(vlm, gradient_checkpointing=stage.gradient_checkpointing)
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
    """Connects conversations to the processor's pixels and to each target encoder's own.

    Raises:
        ValueError: If the stage decodes pictures as drafts, and there is no one size that they are resized to.
    """
    layout = partial(image_layout, objective.vlm.config)
    images = ImagePreparation(
        ModelInputs(processor.image_processor),
        layout,
        target_prepares={
            name: EachCrop(term.target.prepare, _cut(stage.supervision[name], processor, layout))
            for name, term in objective.terms()
        },
        cache_bytes=CACHE_BYTES,
        at_least=draft_size(
            stage.draft, processor.image_processor, [term.target.prepare for _, term in objective.terms()]
        ),
    )
    return ConversationDataset(
        conversations,
        encode=build_encoder(stage, objective.vlm.config, processor),
        images=images,
        companions=companions,
        companions_per_sample=stage.companions if companions else 0,
        seed=seed,
    )


def build_encoder(stage: Stage, config: PretrainedConfig, processor: VlmProcessor) -> Encoder:
    """Makes the stage's encoder of conversations for a model."""
    return Encoder(processor, TEMPLATES[stage.template], config, stage.max_length)


def _cut(spec: SupervisionSpec, processor: VlmProcessor, layout: Callable[[Size], ImageLayout]) -> Cut:
    """Chooses how a target gets its crops: one that reads the model's own tower needs none of their pixels."""
    if isinstance(processor, LlavaNextProcessor) and not spec.target.reads_tower:
        return Tiles(processor.image_processor)
    return Uncut(layout)
