"""The pictures of a tokenizer's card: sample images with their maps of codes, and what some codes stand for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from asvr.data.pictures import Pictures
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.code_pictures import code_colours, code_map, save_picture, seen, strip, to_image
from asvr.tokenizers.image_quality import unnormalise
from asvr.tokenizers.nearest_patches import NearestPatches

FOLDER = "pictures"
"""Of a card's folder."""

SAMPLES, SHOWN_CODES = 6, 8
"""Sample images, and codes of each depth whose patches are shown."""


def evenly(number: int, most: int) -> list[int]:
    """Chooses at most so many of the numbers below `number`, from first to last at even steps."""
    if number <= most:
        return list(range(number))
    return torch.linspace(0, number - 1, most, dtype=torch.float64).round().long().tolist()


@torch.no_grad()
def write_samples(
    tokenizer: VisualTokenizer,
    pictures: Pictures,
    indices: Sequence[int],
    *,
    counts: Int[Tensor, "depth codes"],
    out: Path,
) -> list[dict[str, Any]]:
    """Writes sample images, the map of their codes at each depth, and what the codes decode to.

    Args:
        tokenizer: Whose codes are drawn.
        pictures: All pictures.
        indices: Those that are shown.
        counts: How often each code is used; decides the colours.
        out: The card's folder.

    Returns:
        For each image its `name`, and the files `picture`, `maps` (one for each depth) and `decoded` (None where the
        tokenizer cannot), relative to the card's folder.
    """
    books = tokenizer.quantizer.codebooks
    colours = [code_colours(book, used) for book, used in zip(books, counts, strict=True)]
    samples = []
    for number, index in enumerate(indices):
        picture = pictures.open(index)
        prepared = tokenizer.prepare(picture)
        codes = tokenizer.encode(prepared.unsqueeze(0).to(books.device))
        images = {f"sample-{number}": seen(tokenizer, prepared, picture)}
        maps = [code_map(codes[0, :, depth], tokenizer.grid, each) for depth, each in enumerate(colours)]
        images |= {f"sample-{number}-depth-{depth}": each for depth, each in enumerate(maps)}
        if tokenizer.can_decode:
            decoded = unnormalise(tokenizer.decode(codes), tokenizer.features.processor)
            images[f"sample-{number}-decoded"] = to_image(decoded[0])
        files = _save(images, out)
        samples.append(
            {
                "name": pictures.name(index),
                "picture": files[0],
                "maps": files[1 : 1 + len(maps)],
                "decoded": files[-1] if tokenizer.can_decode else None,
            }
        )
    return samples


def write_patches(
    tokenizer: VisualTokenizer,
    pictures: Pictures,
    nearest: NearestPatches,
    *,
    counts: Int[Tensor, "depth codes"],
    out: Path,
) -> list[dict[str, Any]]:
    """Writes, for some codes of the first depths, the patches nearest to them.

    The codes are chosen at even steps over those in use, from the most used to the least used.

    Args:
        tokenizer: Whose codes they are.
        pictures: All pictures.
        nearest: Filled with them; decides which depths are shown.
        counts: How often each code is used.
        out: The card's folder.

    Returns:
        For each code its `depth` and `code`, its `rank` by use of the `used` ones (1 is the most used), its `share` of
        the positions, the file `patches` relative to the card's folder, and the patches' `distances`.
    """
    opened: dict[int, Image.Image] = {}
    shown = []
    for depth in range(len(nearest.distance)):
        ranking = counts[depth].argsort(descending=True, stable=True).tolist()
        used = int((counts[depth] > 0).sum())
        for rank in evenly(used, SHOWN_CODES):
            code = ranking[rank]
            found = nearest.of(depth, code)
            for index, _, _ in found:
                if index not in opened:
                    picture = pictures.open(index)
                    opened[index] = seen(tokenizer, tokenizer.prepare(picture), picture)
            around, places = [opened[index] for index, _, _ in found], [place for _, place, _ in found]
            patches = strip(around, places, tokenizer.grid, places=nearest.distance.shape[2])
            shown.append(
                {
                    "depth": depth,
                    "code": code,
                    "rank": rank + 1,
                    "used": used,
                    "share": float(counts[depth, code] / counts[depth].sum()),
                    "patches": _save({f"depth-{depth}-rank-{rank + 1}": patches}, out)[0],
                    "distances": [distance for _, _, distance in found],
                }
            )
    return shown


def _save(images: dict[str, Image.Image], out: Path) -> list[str]:
    for name, image in images.items():
        save_picture(image, out / FOLDER / f"{name}.png")
    return [f"{FOLDER}/{name}.png" for name in images]
