"""Seconds of training steps on padded, sorted and packed conversations, side by side in one run.

    python benchmarks/packing.py [--conversations 32] [--rounds 3] [--out benchmarks/packing.json]

Conversations are as long as those of `benchmarks/data.py`: four fifths begin with 729 visual tokens, and answers have 1
to 1,200 words. The language model is that of `benchmarks/step.py`, 256 wide; visual tokens are read as words, so that
no tower's time, which is the same for all, hides the difference. All ways train on the same conversations in
micro-batches of 8, in turns; losses are compared. The median of the rounds counts. Run it on a quiet machine.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from data import TOKENS, length
from rich.console import Console
from rich.progress import track
from rich.table import Table
from step_model import SMALL, make_model

from asvr.data.collate import Collator
from asvr.data.dataset import Sample
from asvr.data.order import similar_order
from asvr.data.packing import PackingCollator
from asvr.data.template import IGNORED, Encoded
from asvr.environment import environment
from asvr.objective import Objective, count_items

MICRO_BATCH, QUESTION = 8, 30
SHAPE = replace(SMALL, tower_layers=1, side=28)
WAYS = {
    "padded, random order": (False, Collator(0)),
    "padded, similar lengths": (True, Collator(0)),
    "packed, random order": (False, PackingCollator(Collator(0))),
    "packed, similar lengths": (True, PackingCollator(Collator(0))),
    "packed into one row, random order": (False, PackingCollator(Collator(0), "one")),
}
"""Whether a micro-batch has similar lengths, and how it is put together."""


def make_samples(count: int) -> list[Sample]:
    draw = np.random.default_rng(0)
    torch.manual_seed(0)
    samples = []
    for number in range(count):
        asked, said = QUESTION + TOKENS * (number % 5 > 0), length(draw)
        ids = torch.randint(SHAPE.vocabulary - 1, (asked + said,))
        labels = torch.cat([torch.full((asked,), IGNORED), ids[asked:]])
        samples.append(Sample(str(number), Encoded(ids, labels, torch.zeros(len(ids), dtype=torch.bool), False), ()))
    return samples


def make_batches(samples: Sequence[Sample], way: str) -> list[dict[str, Any]]:
    similar, collate = WAYS[way]
    lengths, order = [len(sample.encoded.input_ids) for sample in samples], torch.randperm(len(samples)).tolist()
    if similar:
        order = list(similar_order(lengths, batch_size=len(samples), block=MICRO_BATCH, seed=0))
    return [
        collate([[samples[index]] for index in order[start : start + MICRO_BATCH]])
        for start in range(0, len(order), MICRO_BATCH)
    ]


def train(objective: Objective, batches: list[dict[str, Any]]) -> tuple[float, float]:
    """Gives the seconds of a forward and backward pass over all batches, and their mean loss per token."""
    counts = [count_items(batch["labels"], batch["visual_mask"]) for batch in batches]
    items = {name: sum((each[name] for each in counts), torch.tensor(0)) for name in counts[0]}
    begun, loss = time.perf_counter(), 0.0
    for batch in batches:
        found = objective(**batch, num_items=items)["loss"]
        found.backward()
        loss += float(found.detach())
    taken = time.perf_counter() - begun
    objective.zero_grad()
    return taken, loss


def run(count: int, rounds: int) -> dict[str, Any]:
    samples = make_samples(count)
    objective = Objective(make_model(SHAPE), {}).train()
    batches = {way: make_batches(samples, way) for way in WAYS}
    tokens = sum(len(sample.encoded.input_ids) for sample in samples)
    turns = [{way: train(objective, batches[way]) for way in WAYS} for _ in track(range(1 + rounds), "rounds")][1:]
    first, ways = next(iter(WAYS)), {}
    for way in WAYS:
        positions = sum(batch["input_ids"].numel() for batch in batches[way])
        ways[way] = {
            "seconds": median(turn[way][0] for turn in turns),
            "ratio": median(turn[first][0] / turn[way][0] for turn in turns),
            "padding": 1 - tokens / positions,
            "loss": turns[-1][way][1],
        }
    about = {"rounds": rounds, "conversations": count, "micro_batch": MICRO_BATCH, "load": os.getloadavg()}
    return {"ways": ways, **about, "threads": torch.get_num_threads(), **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table("micro-batches", "s", "times as fast", "padding", "loss", box=None)
    for way, row in found["ways"].items():
        table.add_row(
            way, f"{row['seconds']:.1f}", f"{row['ratio']:.2f}", f"{row['padding']:.1%}", f"{row['loss']:.6f}"
        )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = run(given.conversations, given.rounds)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
