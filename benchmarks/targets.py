"""Pictures per second for fitting, encoding and caching codes, and peak memory, beside a plain loop over the model.

    python benchmarks/targets.py [--pictures 24] [--width 1152 --layers 27 --codes 16384] [--out FILE.json]

The plain loop is what one writes first: the stock model, all distances at once by `torch.cdist`, statistics by one-hot
matrices, a file per picture. Both do the same work on the same pictures, in turn, in one run; the least of the rounds
counts. Weights are random: time does not depend on them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from asvr.data.pictures import find_pictures
from asvr.environment import environment
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.caching import Caching, cache_codes
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.refine import MovingAverages
from asvr.tokenizers.settings import FitSettings

ROUNDS = 3
MEMORY = {"vectors": 8 * 729, "depth": 8, "codes": 16_384, "width": 1152}
"""Eight pictures of 27x27 tokens at the release's size."""


@dataclass(frozen=True)
class Shape:
    pictures: int
    batch: int
    width: int
    layers: int
    codes: int
    depth: int


def make_tokenizer(shape: Shape) -> VisualTokenizer:
    torch.manual_seed(0)
    sizes = {"hidden_size": shape.width, "intermediate_size": 4 * shape.width, "num_hidden_layers": shape.layers}
    config = SiglipVisionConfig(image_size=384, patch_size=14, num_attention_heads=max(1, shape.width // 64), **sizes)
    processor = SiglipImageProcessorPil(size={"height": 384, "width": 384})
    books = torch.randn(shape.depth, shape.codes, shape.width) * 0.7 ** torch.arange(shape.depth).view(-1, 1, 1)
    return VisualTokenizer(TowerFeatures(SiglipVisionModel(config).eval(), processor), ResidualQuantizer(books))


def write_pictures(folder: Path, count: int) -> None:
    noise = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype="uint8"))
        small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg", quality=90)


def plain_codes(features: Tensor, books: Tensor) -> Tensor:
    residual, codes = features.flatten(0, 1), []
    for book in books:
        codes.append(torch.cdist(residual, book).argmin(1))
        residual = residual - book[codes[-1]]
    return torch.stack(codes, 1)


@torch.no_grad()
def plain_step(vectors: Tensor, books: Tensor, sums: Tensor, counts: Tensor) -> None:
    residual = vectors
    for depth, book in enumerate(books):
        one_hot = F.one_hot(torch.cdist(residual, book).argmin(1), len(book)).to(residual.dtype)
        counts[depth].mul_(0.99).add_(one_hot.sum(0), alpha=0.01)
        sums[depth].mul_(0.99).add_(one_hot.T @ residual, alpha=0.01)
        residual = residual - one_hot @ book


@torch.no_grad()
def plain_features(tokenizer: VisualTokenizer, pixels: Tensor) -> Tensor:
    assert isinstance(tokenizer.features, TowerFeatures)
    return tokenizer.features.tower(pixels, output_hidden_states=True).hidden_states[-2]


def averages(books: Tensor) -> MovingAverages:
    settings = FitSettings(depth=len(books), num_codes=books.shape[1])
    return MovingAverages(books.clone(), torch.ones(books.shape[:2]), depths=1, settings=settings)


def compare_fit(tokenizer: VisualTokenizer, batches: list[Tensor]) -> tuple[Callable[[], None], Callable[[], None]]:
    books = tokenizer.quantizer.codebooks
    moving, ranks = averages(books), Ranks()
    sums, counts = books.clone(), torch.ones(books.shape[:2])

    def ours() -> None:
        for number, batch in enumerate(batches):
            moving.step(tokenizer.vectors(batch).flatten(0, 1), number, ranks)

    def plain() -> None:
        for batch in batches:
            plain_step(plain_features(tokenizer, batch).flatten(0, 1), sums / counts.unsqueeze(2), sums, counts)

    return ours, plain


def compare_encode(tokenizer: VisualTokenizer, batches: list[Tensor]) -> tuple[Callable[[], None], Callable[[], None]]:
    def ours() -> None:
        for batch in batches:
            tokenizer.encode(batch)

    def plain() -> None:
        for batch in batches:
            plain_codes(plain_features(tokenizer, batch), tokenizer.quantizer.codebooks)

    return ours, plain


def compare_cache(
    tokenizer: VisualTokenizer, folder: Path, shape: Shape
) -> tuple[Callable[[], None], Callable[[], None]]:
    pictures = find_pictures(str(folder))

    def ours() -> None:
        with tempfile.TemporaryDirectory() as store:
            cache_codes(tokenizer, pictures, Path(store), Caching(shard_size=shape.batch * 8, batch_size=shape.batch))

    def plain() -> None:
        with tempfile.TemporaryDirectory() as store:
            for index in range(len(pictures)):
                pixels = tokenizer.prepare(pictures.open(index)).unsqueeze(0)
                codes = plain_codes(plain_features(tokenizer, pixels), tokenizer.quantizer.codebooks)
                torch.save(codes, Path(store) / f"{index}.pt")

    return ours, plain


def seconds(do: Callable[[], None]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def side_by_side(ours: Callable[[], None], plain: Callable[[], None], pictures: int) -> dict[str, float]:
    rounds = [(seconds(ours), seconds(plain)) for _ in range(ROUNDS)]
    fast, slow = (min(column) for column in zip(*rounds, strict=True))
    return {"ours": pictures / fast, "plain": pictures / slow, "ratio": slow / fast}


def measure_memory(what: str) -> None:
    """Runs in a process of its own: prints the bytes that a step needs beyond its inputs, at their peak."""
    torch.manual_seed(0)
    vectors = torch.randn(MEMORY["vectors"], MEMORY["width"])
    books = torch.randn(MEMORY["depth"], MEMORY["codes"], MEMORY["width"])
    sums, counts = books.clone(), torch.ones(books.shape[:2])
    quantizer, ranks = ResidualQuantizer(books), Ranks()
    moving = MovingAverages(sums, counts, depths=1, settings=FitSettings(depth=len(books), num_codes=books.shape[1]))
    tasks = {
        "encode, ours": lambda: quantizer.encode(vectors),
        "encode, plain": lambda: plain_codes(vectors.unsqueeze(0), books),
        "fit, ours": lambda: moving.step(vectors, 0, ranks),
        "fit, plain": lambda: plain_step(vectors, books, sums, counts),
    }
    before = psutil.Process().memory_info().rss
    tasks[what]()
    status = Path("/proc/self/status").read_text().splitlines()
    peak = 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    print(max(0, peak - before))


def memory() -> dict[str, int]:
    names = [f"{task}, {who}" for task in ("encode", "fit") for who in ("ours", "plain")]
    command = [sys.executable, __file__, "--memory"]
    return {
        name: int(subprocess.run([*command, name], capture_output=True, text=True, check=True).stdout) for name in names
    }


def run(shape: Shape) -> dict[str, Any]:
    tokenizer = make_tokenizer(shape)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pictures(folder, shape.pictures)
        pictures = find_pictures(str(folder))
        pixels = torch.stack([tokenizer.prepare(pictures.open(index)) for index in range(len(pictures))])
        batches = list(pixels.split(shape.batch))
        speed = {
            "fit": side_by_side(*compare_fit(tokenizer, batches), shape.pictures),
            "encode": side_by_side(*compare_encode(tokenizer, batches), shape.pictures),
            "cache": side_by_side(*compare_cache(tokenizer, folder, shape), shape.pictures),
        }
    found = {"shape": vars(shape), "pictures_per_second": speed, "peak_bytes": memory(), "peak_of": MEMORY}
    return {**found, "threads": torch.get_num_threads(), "rounds": ROUNDS, **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table("", "ours", "plain loop", "ratio", box=None)
    for name, row in found["pictures_per_second"].items():
        table.add_row(f"{name}, pictures/s", f"{row['ours']:.2f}", f"{row['plain']:.2f}", f"{row['ratio']:.2f}")
    peak = found["peak_bytes"]
    for name in ("encode", "fit"):
        ours, plain = peak[f"{name}, ours"] / 2**20, peak[f"{name}, plain"] / 2**20
        table.add_row(f"{name}, peak MiB beyond its inputs", f"{ours:.0f}", f"{plain:.0f}", f"{plain / ours:.2f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory")
    parser.add_argument("--out", type=Path)
    sizes = {"pictures": 24, "batch": 8, "width": 256, "layers": 6, "codes": 4096, "depth": 8}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.memory:
        measure_memory(given.memory)
    else:
        results = run(Shape(**{name: vars(given)[name] for name in sizes}))
        show(results)
        if given.out:
            given.out.write_text(json.dumps(results, indent=2) + "\n")
