"""Shows questions that arms answered differently: one HTML file with pictures, answers and filters, and no network."""

import base64
import io
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from asvr.reports.style import arm_colours
from asvr.reports.templates import environment

LARGEST = 384
"""Longest side of an embedded picture in pixels; a larger one is reduced to it."""

_QUALITY = 75
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow's decoders raise on damaged files."""


def write_differing_page(path: Path, content: Mapping[str, Any], pictures: Iterable[tuple[str, bytes]]) -> None:
    """Writes the page.

    Args:
        path: File to write; its folder is made.
        content: `arms`: names, the baseline's first; `seeds`: names; `benchmarks`: a list with `name`, `note` (why
            there are no pictures, or empty), `questions`, `differing` and `shown` (numbers), and `outcomes`: for every
            arm but the baseline the number of questions by outcome; `outcomes`: those that a reader may choose; and
            `questions`: a list with `benchmark` (a name), `category`, `id`, `images` (names), `question`, `reference`,
            `outcomes` (for every arm but the baseline), and `given`: for every arm its mean `score` and `answers`, by
            seed, each a text, what was read from it, and its score.
        pictures: Bytes of the pictures that there are, by name, each once; one at a time is held at its full size.
    """
    shown = {name: uri for name, contents in pictures if (uri := picture_uri(contents))}
    places = {name: place for place, name in enumerate(shown)}
    questions = [_with_places(question, places) for question in content["questions"]]
    wanted = {name for question in content["questions"] for name in question["images"]}
    page = (
        environment({})
        .get_template("differing_page.html")
        .render(
            content=content,
            colours=arm_colours(content["arms"]),
            num_pictures=len(shown),
            num_absent=len(wanted - shown.keys()),
            megabytes=sum(map(len, shown.values())) / 1e6,
            largest=LARGEST,
            data={
                "arms": content["arms"],
                "seeds": content["seeds"],
                "colours": list(arm_colours(content["arms"]).values()),
                "questions": questions,
                "pictures": list(shown.values()),
            },
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def picture_uri(contents: bytes) -> str:
    """Gives a picture, reduced to `LARGEST`, as a data URI; empty if it cannot be read.

    Args:
        contents: Of an image file.
    """
    try:
        with Image.open(io.BytesIO(contents)) as opened:
            # Reads large JPEG files at a fraction of their size: ten times faster.
            opened.draft("RGB", (LARGEST, LARGEST))
            # Straight to RGB, a palette with transparency warns.
            picture = (opened.convert("RGBA") if opened.mode == "P" else opened).convert("RGB")
    except _UNREADABLE:
        return ""
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _with_places(question: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    """Names each picture by its place in the page's list; None where it is not there."""
    return {**question, "images": [places.get(name) for name in question["images"]]}
