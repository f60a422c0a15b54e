"""Records per second and padding of a training epoch's data, beside a plain DataLoader over the same records.

    OMP_NUM_THREADS=1 python benchmarks/data.py [--records 512] [--workers 2] [--out FILE.json]

The records show JPEG photographs of 1 to 2 megapixels, drawn here with shapes and noise; a fifth have text alone. The
plain loader decodes in full, in one process, in random order, and pads to the longest; each row of the table adds one
thing to the one above. All go through the same records, in turn, in one run; the least of the rounds counts.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader, RandomSampler, Sampler
from transformers import AutoTokenizer, PreTrainedTokenizerBase, SiglipImageProcessorPil

import asvr
from asvr.data.collate import Collator
from asvr.data.conversation import Conversation, Turn
from asvr.data.dataset import ConversationDataset
from asvr.data.images import ImagePreparation, ModelInputs, Size, open_image
from asvr.data.layout import ImageLayout
from asvr.data.order import SimilarLengths
from asvr.data.template import Encoded, encode
from asvr.data.templates import TEMPLATES
from asvr.environment import environment

ROUNDS, MICRO_BATCH, BATCH = 3, 16, 128
SIDE, TOKENS, MAX_LENGTH = 384, 729, 2048
"""The paper's vision tower resizes to 384x384 pixels and gives 729 visual tokens."""

SIZES = [(1600, 1200), (1200, 1600), (1280, 960), (1920, 1080), (1024, 1024)]
"""Widths and heights of the photographs: 1.0 to 2.1 megapixels."""


def photograph(draw: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draws soft colours, hard shapes and a sensor's noise."""
    width, height = size
    soft = Image.fromarray(draw.integers(0, 256, (height // 40, width // 40, 3), dtype="uint8"))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC)) + draw.normal(0, 6, (height, width, 1))
    image = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
    brush = ImageDraw.Draw(image)
    for _ in range(30):
        x, y, side = int(draw.integers(width)), int(draw.integers(height)), int(draw.integers(20, 300))
        brush.ellipse((x, y, x + side, y + side), fill=tuple(draw.integers(0, 256, 3).tolist()))
    return image


def make_records(folder: Path, count: int, photographs: int) -> list[Conversation]:
    draw = np.random.default_rng(0)
    for index in track(range(photographs), description="drawing photographs", transient=True):
        photograph(draw, SIZES[index % len(SIZES)]).save(folder / f"{index}.jpg", quality=90)
    records = []
    for index in range(count):
        shown = index % 5 > 0
        words = " ".join(draw.choice(["red", "green", "square", "left", "of", "two", "circles"], size=length(draw)))
        turns = (Turn("user", "<image>\nDescribe it." if shown else "Go on."), Turn("assistant", words))
        images = (str(folder / f"{index % photographs}.jpg"),) if shown else ()
        records.append(Conversation(str(index), images, turns))
    return records


def length(draw: np.random.Generator) -> int:
    """Draws a number of words: half of the answers have more than 100, one in forty more than 700."""
    return int(min(1200, max(1, 100 * math.exp(draw.normal()))))


def make_dataset(records: list[Conversation], tokenizer: PreTrainedTokenizerBase, at_least: Size | None) -> Any:
    images = ImagePreparation(
        ModelInputs(SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})),
        lambda _: ImageLayout.plain(TOKENS),
        at_least=at_least,
    )
    return ConversationDataset(records, encode=partial(encoded, tokenizer=tokenizer), images=images)


def encoded(one: Conversation, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    return encode(
        one,
        tokenizer,
        chat_template=TEMPLATES["mistral"],
        image_token="<image>",
        tokens_per_image=[TOKENS] * len(one.images),
        max_length=MAX_LENGTH,
    )


def load_tokenizer() -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(Path(asvr.__file__).parent / "world/assets/language_model")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return tokenizer


def go_through(
    dataset: ConversationDataset, collate: Collator, sampler: Sampler[int], workers: int
) -> dict[str, float]:
    """Loads an epoch; workers are started before the clock, as they are once in a run of many epochs."""
    loader = DataLoader(
        dataset, MICRO_BATCH, sampler=sampler, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0
    )
    if workers:
        next(iter(loader))
    start, tokens, positions = time.perf_counter(), 0, 0
    for batch in loader:
        tokens += int(batch["attention_mask"].sum())
        positions += batch["attention_mask"].numel()
    return {"records_per_second": len(dataset) / (time.perf_counter() - start), "padding": 1 - tokens / positions}


def in_random_order(records: list[Conversation]) -> RandomSampler:
    return RandomSampler(records, generator=torch.Generator().manual_seed(0))


def compare(records: list[Conversation], workers: int) -> dict[str, dict[str, float]]:
    tokenizer = load_tokenizer()
    lengths = [len(encoded(one, tokenizer).input_ids) for one in records]
    full, drafts = (make_dataset(records, tokenizer, size) for size in (None, (SIDE, SIDE)))
    similar = SimilarLengths(lengths, batch_size=BATCH, block=MICRO_BATCH, seed=0, steps_done=lambda: 0)
    load: Callable[..., dict[str, float]] = partial(go_through, collate=Collator.for_tokenizer(tokenizer))
    arms = {
        "plain": lambda: load(full, sampler=in_random_order(records), workers=0),
        "drafts": lambda: load(drafts, sampler=in_random_order(records), workers=0),
        "similar lengths": lambda: load(drafts, sampler=similar, workers=0),
        f"{workers} workers": lambda: load(drafts, sampler=similar, workers=workers),
    }
    rounds = [
        {name: arm() for name, arm in arms.items()}
        for _ in track(range(ROUNDS), description="loading epochs", transient=True)
    ]
    best = {name: max((each[name] for each in rounds), key=lambda one: one["records_per_second"]) for name in arms}
    plain = best["plain"]["records_per_second"]
    return {name: {**found, "ratio": found["records_per_second"] / plain} for name, found in best.items()}


def pixel_differences(files: list[Path]) -> dict[str, float]:
    """Gives the mean difference of a draft's prepared pixels from those of full decoding, in 255 levels."""
    prepare = ModelInputs(SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}))
    found: dict[str, list[float]] = {"draft=1": [], "draft=1.5": []}
    for path in files:
        whole = prepare(open_image(path, record=path.name))["pixel_values"]
        for name, differences in found.items():
            least = math.ceil(float(name.removeprefix("draft=")) * SIDE)
            pixels = prepare(open_image(path, record=path.name, at_least=(least, least)))["pixel_values"]
            # Prepared pixels go from -1 to 1.
            differences.append(float((pixels - whole).abs().mean()) * 127.5)
    return {name: sum(differences) / len(differences) for name, differences in found.items()}


def run(count: int, photographs: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        records = make_records(Path(temporary), count, photographs)
        differences = pixel_differences(sorted(Path(temporary).glob("*.jpg")))
        arms = compare(records, workers)
    shape = {"records": count, "photographs": photographs, "micro_batch": MICRO_BATCH, "batch": BATCH, "side": SIDE}
    return {"shape": shape, "arms": arms, "levels_of_255": differences, "rounds": ROUNDS, **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table("each adds to the one above", "records/s", "ratio", "padding", box=None)
    for name, row in found["arms"].items():
        table.add_row(name, f"{row['records_per_second']:.1f}", f"{row['ratio']:.2f}", f"{row['padding']:.1%}")
    Console().print(table)
    differences = ", ".join(f"{name} {value:.2f}" for name, value in found["levels_of_255"].items())
    Console().print(f"mean difference of a draft's pixels from full decoding, of 255 levels: {differences}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"records": 512, "photographs": 40, "workers": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = run(given.records, given.photographs, given.workers)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
