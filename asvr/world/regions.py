"""What a vision tower learns from: parts of pictures, or whole ones, and the phrases that say what they show."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asvr.data.conversation import IMAGE_MARKER, Conversation, read_conversations

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as fractions of the picture's width and height."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Region:
    """Part of a picture and what it shows.

    Args:
        box: Where it lies.
        words: The words that describe it, in lower case.
    """

    box: Box
    words: tuple[str, ...]


@dataclass(frozen=True)
class DescribedPicture:
    """A picture with what is said of it.

    Args:
        id: Id of its record.
        image: File name relative to the image folder.
        regions: At least one; a caption is a region that is the whole picture.
    """

    id: str
    image: str
    regions: tuple[Region, ...]


def read_described_pictures(path: Path) -> list[DescribedPicture]:
    """Reads LLaVA records with captions, or records that carry `regions` in place of conversations.

    A region is `{"box": [left, top, right, bottom], "text": ...}`, its box in fractions of the picture's sides.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a record is broken, or has not one image and a text; the message names the file and the record.
    """
    conversations = read_conversations(path)
    records: Sequence[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8-sig"))
    if len(conversations) != len(records):
        raise ValueError(f"{path}: {len(records)} records but {len(conversations)} conversations.")
    return [
        _described(path, conversation, record.get("regions", []))
        for conversation, record in zip(conversations, records, strict=True)
    ]


def _described(path: Path, conversation: Conversation, regions: Sequence[dict[str, Any]]) -> DescribedPicture:
    where = f"{path}: record {conversation.id!r}"
    if len(conversation.images) != 1:
        raise ValueError(f"{where} has {len(conversation.images)} images, but a tower learns from one picture each.")
    if regions:
        found = tuple(_region(where, region) for region in regions)
    else:
        answers = " ".join(turn.text for turn in conversation.turns if turn.role == "assistant")
        found = (Region(WHOLE, _words(answers)),)
    if not all(region.words for region in found):
        raise ValueError(f"{where} says nothing of its picture. Give it a caption or `regions`, or leave it out.")
    return DescribedPicture(conversation.id, conversation.images[0], found)


def _region(where: str, region: dict[str, Any]) -> Region:
    if set(region) != {"box", "text"} or len(region["box"]) != 4:
        raise ValueError(f'{where} has the region {region}, but regions are {{"box": [l, t, r, b], "text": ...}}.')
    left, top, right, bottom = (float(side) for side in region["box"])
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(
            f"{where} has the box {region['box']}, but boxes are [left, top, right, bottom] within 0 to 1."
        )
    return Region((left, top, right, bottom), _words(region["text"]))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().replace(IMAGE_MARKER, " ").replace(".", " ").replace(",", " ").split())
