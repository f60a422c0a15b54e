"""How long a stage's conversations are: visual tokens exactly, text by measured files or by stated assumption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from transformers import PretrainedConfig

from asvr.data.conversation import Conversation
from asvr.data.manifest import MANIFEST
from asvr.models.grids import image_layout
from asvr.recipes.spec import Stage

PICTURE = (480, 640)
"""Height and width in pixels of the picture that is assumed where the number of visual tokens depends on them: COCO's
most frequent size."""

CHARACTERS_PER_TOKEN = 4
"""Of English in vocabularies of 32,000 ids and more, about."""

TEMPLATE_TOKENS = {"plain": 2, "vicuna_v1": 45, "chatml": 30, "mistral": 10, "llama3": 30}
"""What a chat template adds to a conversation of a few turns, about: the system prompt and the names of the roles."""


@dataclass(frozen=True)
class Text:
    """The average conversation of a data set, without what a template adds.

    Args:
        pictures: How many it shows.
        tokens: Its text.
        answer: The part of it that is an answer, and so is supervised.
        origin: Where the figures come from.
    """

    pictures: float
    tokens: float
    answer: float
    origin: str


_SHORT = "captions of a line; the JSON file without its markup, 134 MB as packed on the hub, over its records"
_MIXED = (
    "llava_v1_5_mix665k.jsonl on the hub has 807 MB, 1,213 bytes a record, of which about 400 are markup; half of the "
    "text taken as answers; 40,688 of its records have no picture"
)
_LONG = "recaptioned by LLaVA-NeXT-34B in a paragraph of about 180 words, which none of our sources counts"

ASSUMED: dict[str, Text] = {
    "llava-558k": Text(1.0, 15.0, 15.0, _SHORT),
    "bunny-laion-2m": Text(1.0, 15.0, 15.0, f"taken as LLaVA-558K's: {_SHORT}"),
    "llava-665k": Text(0.94, 200.0, 100.0, _MIXED),
    "llava-next-779k": Text(0.95, 200.0, 100.0, f"taken as LLaVA-1.5-665K's: {_MIXED}"),
    "bunny-2m": Text(0.95, 200.0, 100.0, f"taken as LLaVA-1.5-665K's: {_MIXED}"),
    "onevision-4m": Text(0.9, 200.0, 100.0, f"taken as LLaVA-1.5-665K's: {_MIXED}"),
    "recap-558k": Text(1.0, 250.0, 240.0, _LONG),
    "recap-118k": Text(1.0, 250.0, 240.0, _LONG),
    "recap-cc3m": Text(1.0, 250.0, 240.0, _LONG),
    "ureader-text": Text(1.0, 250.0, 240.0, "a page's text, taken as long as a recaption"),
    "synthdog-en": Text(1.0, 250.0, 240.0, "a drawn page's text, taken as long as a recaption"),
    "synthdog-zh": Text(1.0, 250.0, 240.0, "a drawn page's text, taken as long as a recaption"),
    "evol-instruct-143k": Text(0.0, 500.0, 400.0, "text alone, taken as twice a recaption"),
    "world-captions": Text(1.0, 30.0, 30.0, "asvr/world"),
    "world-questions": Text(1.0, 15.0, 5.0, "asvr/world"),
}
"""Assumptions by the name of the data set."""


@dataclass(frozen=True)
class Lengths:
    """The average conversation of a stage as the model sees it.

    Args:
        records: Conversations of one epoch.
        pictures: Pictures of a conversation.
        crops: Crops of a picture that go through the vision tower at its own size, as the model's processor makes them.
        visual: Visual tokens of a picture.
        shown: Those of them that have a target.
        text: Text tokens of a conversation.
        supervised: Those of them that have a text loss.
        origin: Where the figures of the text come from, by data set.
    """

    records: int
    pictures: float
    crops: int
    visual: int
    shown: int
    text: float
    supervised: float
    origin: Mapping[str, str]

    @property
    def tokens(self) -> float:
        """All tokens of a conversation."""
        return self.pictures * self.visual + self.text


def measured(conversations: Sequence[Conversation]) -> Text:
    """Measures conversations by their characters, without a tokenizer."""
    text = [sum(len(turn.text) for turn in one.turns) for one in conversations]
    answer = [sum(len(turn.text) for turn in one.turns if turn.role == "assistant") for one in conversations]
    return Text(
        pictures=float(fmean(len(one.images) for one in conversations)),
        tokens=fmean(text) / CHARACTERS_PER_TOKEN,
        answer=fmean(answer) / CHARACTERS_PER_TOKEN,
        origin=f"{len(conversations):,} records, {CHARACTERS_PER_TOKEN} characters a token",
    )


def stage_lengths(stage: Stage, config: PretrainedConfig, given: Sequence[Conversation] | None = None) -> Lengths:
    """Describes the average conversation of a stage.

    Args:
        stage: A stage of a recipe.
        config: The model's.
        given: The stage's own conversations; by default the data sets that the recipe names, as `ASSUMED`.
    """
    if given is None:
        shares = {share.name: round(share.weight * MANIFEST[share.name].num_records) for share in stage.mixture}
        texts = {name: ASSUMED[name] for name in shares}
    else:
        shares, texts = {"--data": len(given)}, {"--data": measured(given)}
    records = sum(shares.values())

    def average(figures: dict[str, float]) -> float:
        return sum(figures[name] * count for name, count in shares.items()) / records

    layout = image_layout(config, PICTURE)
    pictures = average({name: text.pictures for name, text in texts.items()})
    # Truncation takes away text, never a part of a picture.
    room = max(0.0, stage.max_length - pictures * layout.num_tokens)
    added = TEMPLATE_TOKENS[stage.template]
    return Lengths(
        records=records,
        pictures=pictures,
        crops=layout.num_crops,
        visual=layout.num_tokens,
        shown=int(layout.has_target.sum()),
        text=min(room, average({name: text.tokens for name, text in texts.items()}) + added),
        supervised=min(room, average({name: text.answer for name, text in texts.items()})),
        origin={name: text.origin for name, text in texts.items()},
    )
