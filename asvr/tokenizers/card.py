"""A tokenizer's card: is it healthy, what does it keep, and what do its codes mean?"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from asvr.data.loading import load_pictures
from asvr.data.pictures import Pictures
from asvr.disk import write_whole, writing
from asvr.environment import environment
from asvr.targets.storage import digest
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.card_pictures import FOLDER, SAMPLES, evenly, write_patches, write_samples
from asvr.tokenizers.health import verdict
from asvr.tokenizers.image_quality import WINDOW, psnr, ssim, unnormalise
from asvr.tokenizers.intervals import mean_interval
from asvr.tokenizers.measure import Measurement, in_bf16, partial_sums, read, restores_features
from asvr.tokenizers.nearest_patches import NearestPatches
from asvr.tokenizers.zero_shot import ZeroShot

CARD, QUARANTINE = "card.json", "quarantine.txt"

SHOWN_DEPTHS, PATCHES = 2, 8
"""Depths whose codes are shown by their nearest patches, and how many patches each has."""

ENOUGH = 10
"""Vectors for each code below which usage and perplexity say more of the number of pictures than of the codebooks."""

HEALTH = ("codes", "usage", "perplexity", "residual_energy")
"""Figures of a depth that decide on its health."""


@dataclass(frozen=True)
class CardSettings:
    """What of the pictures is measured, and how.

    Args:
        max_images: Use at most this many pictures, spread evenly over all.
        batch_size: Pictures encoded at once.
        workers: Data worker processes.
        skip_bad: Leave out pictures that cannot be read, and list them, instead of stopping.
        teacher: SigLIP checkpoint with a text tower, for zero-shot retention; None measures none.
    """

    max_images: int = 1000
    batch_size: int = 16
    workers: int = 0
    skip_bad: bool = False
    teacher: str | None = None


def make_card(
    tokenizer: VisualTokenizer,
    pictures: Pictures,
    out: Path,
    *,
    settings: CardSettings,
    facts: dict[str, Any],
    on_picture: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Measures a tokenizer and writes `card.json` and the folder `pictures`; `card.html` is made of them.

    Args:
        tokenizer: On the device to measure on.
        pictures: Preferably others than it was made of.
        out: Folder of the card.
        settings: What is measured.
        facts: What else the card should say, such as where tokenizer and pictures come from.
        on_picture: Called after each picture.

    Returns:
        What `card.json` holds.

    Raises:
        ValueError: If no picture can be read, one cannot and `skip_bad` is not set, or zero-shot retention was asked
            for and cannot be had.
        OSError: If the disk does not take the card.
    """
    began = time.monotonic()
    with writing(out):
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
    chosen = evenly(len(pictures), settings.max_images)
    captions = _captions(pictures, chosen) if settings.teacher else {}
    collected = _Collected(tokenizer, ZeroShot(settings.teacher, tokenizer) if settings.teacher else None)
    left_out: dict[int, str] = {}
    for batch in load_pictures(
        pictures,
        chosen,
        tokenizer.prepare,
        batch_size=settings.batch_size,
        workers=settings.workers,
        on_bad=left_out.__setitem__ if settings.skip_bad else None,
    ):
        if batch:
            collected.add([index for index, _ in batch], torch.stack([prepared for _, prepared in batch]))
        for _ in batch:
            on_picture()
    write_whole(out / QUARANTINE, "".join(f"{pictures.name(bad)}: {reason}\n" for bad, reason in left_out.items()))
    if not collected.indices:
        raise ValueError(f"none of the {len(chosen)} pictures can be read: {out / QUARANTINE} says why")
    counts = collected.measurement.counts
    samples = [collected.indices[at] for at in evenly(len(collected.indices), SAMPLES)]
    card = {
        **facts,
        **collected.result(captions),
        "fingerprint": digest(tokenizer.identity()),
        "source": tokenizer.features.describe(),
        "grid": list(tokenizer.grid),
        "left_out": len(left_out),
        "samples": write_samples(tokenizer, pictures, samples, counts=counts, out=out),
        "codes": write_patches(tokenizer, pictures, collected.nearest, counts=counts, out=out),
        "settings": asdict(settings),
        "seconds": time.monotonic() - began,
        "environment": environment(),
    }
    write_whole(out / CARD, json.dumps(card, indent=2, allow_nan=False) + "\n")
    return card


class _Collected:
    """Everything that is summed over pictures."""

    def __init__(self, tokenizer: VisualTokenizer, zero_shot: ZeroShot | None) -> None:
        quantizer = tokenizer.quantizer
        self.tokenizer, self.half, self.zero_shot = tokenizer, in_bf16(tokenizer), zero_shot
        self.device = quantizer.books.device
        self.measurement = Measurement(tokenizer)
        depths = min(SHOWN_DEPTHS, quantizer.depth)
        self.nearest = NearestPatches(depths, quantizer.num_codes, keep=PATCHES, device=self.device)
        self.quality: dict[str, list[Tensor]] = {"psnr": [], "ssim": []}
        self.indices: list[int] = []

    @torch.no_grad()
    def add(self, indices: list[int], prepared: Tensor) -> None:
        """Adds prepared pictures."""
        prepared = prepared.to(self.device)
        reading = read(self.tokenizer, prepared)
        self.measurement.add(reading, self.half.encode(prepared.bfloat16()))
        sums = partial_sums(self.tokenizer.quantizer, reading.codes)
        for depth, quantised in zip(range(len(self.nearest.distance)), sums, strict=False):
            distances = (reading.vectors - quantised).norm(dim=-1)
            self.nearest.add(depth, indices, reading.codes[..., depth], distances)
        if self.tokenizer.can_decode and prepared.ndim == 4:
            decoded, originals = compared_pixels(self.tokenizer, prepared, reading.codes)
            self.quality["psnr"].append(psnr(decoded, originals).cpu())
            # Pictures smaller than the window have none; they are still worth a card.
            if min(decoded.shape[2:]) >= WINDOW:
                self.quality["ssim"].append(ssim(decoded, originals).cpu())
        if self.zero_shot is not None:
            self.zero_shot.add(prepared, reading.codes)
        self.indices += indices

    def result(self, captions: dict[int, str]) -> dict[str, Any]:
        """Gives the part of the card that has the figures."""
        depths = self.measurement.depths()
        vectors, codes = self.measurement.vectors, depths[0]["codes"]
        few = vectors < ENOUGH * codes
        quality = {name: mean_interval(torch.cat(each)) if each else None for name, each in self.quality.items()}
        return {
            "verdict": verdict([{name: each[name] for name in HEALTH} for each in depths]),
            "cautions": [f"only {vectors:,} vectors for {codes:,} codes: give more pictures"] if few else [],
            "images": len(self.indices),
            "vectors": vectors,
            "cosine_to": "features" if restores_features(self.tokenizer) else "vectors before quantisation",
            "cosine_of_mean": self.measurement.cosine_of_mean(),
            "depths": depths,
            "pixels": quality if quality["psnr"] else None,
            "zero_shot": self.zero_shot and self.zero_shot.result([captions[index] for index in self.indices]),
        }


def compared_pixels(tokenizer: VisualTokenizer, prepared: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Decodes codes, and gives beside them the pictures that they should be, both from 0 to 1 and of one size.

    A feature source decodes without what it dropped at the edges, so that is cut off; a decoder gives the whole picture
    in its own size.
    """
    processor = tokenizer.features.processor
    decoded = unnormalise(tokenizer.decode(codes), processor)
    originals = unnormalise(prepared, processor)
    height, width = decoded.shape[2:]
    if tokenizer.decoder is None:
        return decoded, originals[..., :height, :width]
    if originals.shape != decoded.shape:
        originals = F.interpolate(originals, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
    return decoded, originals


def _captions(pictures: Pictures, indices: list[int]) -> dict[int, str]:
    captions = {}
    for index in indices:
        caption = pictures.caption(index)
        if caption is None:
            raise ValueError(
                f"{pictures.name(index)} has no caption, which zero-shot retention needs: give records whose answers "
                "are captions, or a table with --caption-column; or leave --teacher out"
            )
        captions[index] = caption
    return captions
