"""How the cost of ASVR's head grows with visual tokens, depth, codes and batch: fitted exponents; memory against codes.

    python benchmarks/scaling.py [--rounds 5] [--out benchmarks/scaling.json]

The head's part is the time of an ASVR step without the text-only step of the same round, at the shape of
`benchmarks/step.py` but for a vision tower of one layer, which only adds noise to the difference. The exponent is the
slope of a line fitted to the logarithms by least squares: 1 is linear. Memory is the peak of the first step of the real
shape, beyond what is held before it and beyond the head's gradients, in a process of its own for each number of codes.
Run it on a quiet machine.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from step import alone, in_turns
from step_model import OURS, SMALL, TEXT, Shape

from asvr.environment import environment

BASE = replace(SMALL, tower_layers=1, codes=4096)
SWEEPS: dict[str, list[tuple[int, Shape]]] = {
    # Squares of 14, 18 and 27 patches.
    "visual tokens": [(side**2, replace(BASE, side=14 * side)) for side in (14, 18, 27)],
    "depth": [(depth, replace(BASE, depth=depth)) for depth in (2, 4, 8)],
    "codes": [(codes, replace(BASE, codes=codes)) for codes in (4096, 8192, 16_384, 32_768)],
    "batch": [(batch, replace(BASE, batch=batch)) for batch in (1, 2, 4)],
}
MEMORY_CODES = (4096, 16_384, 65_536)


def head_seconds(shape: Shape, rounds: int) -> float:
    taken = in_turns([TEXT, OURS], shape, rounds)
    return median(ours - text for ours, text in zip(taken[OURS], taken[TEXT], strict=True))


def sweep(points: list[tuple[int, Shape]], rounds: int) -> dict[str, Any]:
    sizes, seconds = [size for size, _ in points], [head_seconds(shape, rounds) for _, shape in points]
    exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return {"sizes": sizes, "seconds": seconds, "exponent": exponent}


def run(rounds: int) -> dict[str, Any]:
    sweeps = {name: sweep(points, rounds) for name, points in SWEEPS.items()}
    peaks = [alone(OURS, replace(SMALL, codes=codes), "cpu", 0)["peak"] for codes in track(MEMORY_CODES, "memory")]
    memory = {"codes": MEMORY_CODES, "peak_bytes": peaks, "spread": max(peaks) / min(peaks) - 1}
    about = {"rounds": rounds, "load": os.getloadavg(), "threads": torch.get_num_threads()}
    return {"seconds": sweeps, "memory": memory, **about, **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table(box=None)
    table.add_column("against", no_wrap=True)
    table.add_column("sizes")
    table.add_column("head's part")
    table.add_column("exponent", justify="right")
    for name, row in found["seconds"].items():
        seconds = ", ".join(f"{each:.2f}" for each in row["seconds"])
        table.add_row(name, ", ".join(f"{size:,}" for size in row["sizes"]), f"{seconds} s", f"{row['exponent']:.2f}")
    memory = found["memory"]
    peaks = ", ".join(f"{peak / 2**20:,.0f}" for peak in memory["peak_bytes"])
    codes = ", ".join(f"{each:,}" for each in memory["codes"])
    table.add_row("codes, peak memory", codes, f"{peaks} MiB", f"+{memory['spread']:.1%}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = run(given.rounds)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
