"""Seconds, peak memory, tokens per second and utilisation of a training step: stock, text alone, ASVR naive, ASVR.

    python benchmarks/step.py [--rounds 5] [--codes 16384] [--out benchmarks/step.json] [--profile FOLDER]
    python benchmarks/step.py --device cuda --shape 7b --rounds 200 [--out benchmarks/step-7b.json]

`stock` is `LlavaForConditionalGeneration` with its own loss, over all text logits. `ASVR naive` has a second tower and
searches its codebooks, holds all logits of a depth and leaves the cross-entropy to torch, as the authors' release does.
A step is forward and backward pass. On CPU the arms take turns, round after round, so that whatever else the machine
does falls on all of them; the median of the rounds counts, and the ratio is to stock's of the same round. On a GPU,
which holds one arm of 7B at a time, each arm has a process of its own, and the ratio is one of medians. Memory is the
peak of an arm's first step, in a process of its own, beyond what is held before it and beyond the gradients of the
visual head. `bound` is the step's arithmetic at the speed of this machine's best large matrix product. Run it on a
quiet machine: the load is written down. `growth` is the median of the last quarter of the steps over that of the first.
`--keep-memory` has glibc keep what is freed, so that no arm waits for fresh pages while its time is taken.
`--profile FOLDER` writes which operators one more step of each arm spends its time in, a table for each.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from step_model import ARMS, DTYPES, SEVEN, SMALL, STOCK, Arm, Shape, make_arm, step_flops
from torch.profiler import ProfilerActivity, profile

from asvr.environment import environment

SHAPES = {"small": SMALL, "7b": SEVEN}
WARM_UP = 5
"""Steps of a process that has a GPU to itself before its time is taken."""

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Has glibc give back what is freed (mallopt(3)), in processes that measure memory: what it keeps for later moved peaks
by a tenth, from run to run."""
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
"""Has it keep all memory, as an allocator made for this does: pages are fresh once, and what is left is arithmetic."""


def timed(call: Callable[[], object], device: str) -> float:
    begun = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def seconds_of(arm: Arm, device: str) -> float:
    taken = timed(arm.step, device)
    arm.modules.zero_grad()
    return taken


def peak_bytes(arm: Arm, device: str) -> int:
    """Gives the peak of the arm's first step beyond what is held before it."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        arm.step()
        return torch.cuda.max_memory_allocated() - before
    # Resets the high-water mark of this process (proc(5)); /proc is Linux's.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    arm.step()
    return status("VmHWM") - before


def status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def operators(arm: Arm, device: str) -> str:
    """Gives the operators of one step in the order of the time that they take themselves, as a table."""
    arm.modules.zero_grad()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as found:
        arm.step()
    averages = found.key_averages(group_by_input_shape=True)
    return averages.table(sort_by=f"self_{device}_time_total", row_limit=40, max_shapes_column_width=60)


def measure_alone(name: str, shape: Shape, device: str, rounds: int, folder: str | None) -> dict[str, Any]:
    """What a process of an arm's own says: its peak, its tokens, its FLOPs, and on a GPU its times."""
    arm = make_arm(name, shape, device)
    # What a process does once, such as starting its threads, is none of the step's.
    torch.randn(64, 64, device=device).matmul(torch.randn(64, 64, device=device))
    found: dict[str, Any] = {"peak": peak_bytes(arm, device) - arm.head, "tokens": arm.tokens}
    if device == "cuda":
        arm.modules.zero_grad()
        found["seconds"] = [seconds_of(arm, device) for _ in range(WARM_UP + rounds)][WARM_UP:]
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.txt").write_text(operators(arm, device))
    del arm
    return found | {"flops": step_flops(name, shape, device)}


def alone(name: str, shape: Shape, device: str, rounds: int, folder: str | None = None) -> dict[str, Any]:
    task = {"name": name, "shape": asdict(shape), "device": device, "rounds": rounds, "folder": folder}
    given = json.dumps(task)
    command = [sys.executable, __file__, "--alone", given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | GIVE_BACK)
    return json.loads(done.stdout)


def in_turns(names: list[str], shape: Shape, rounds: int) -> dict[str, list[float]]:
    arms = {name: make_arm(name, shape) for name in names}
    for arm in arms.values():
        seconds_of(arm, "cpu")
    turns = [{name: seconds_of(arm, "cpu") for name, arm in arms.items()} for _ in track(range(rounds), "rounds")]
    return {name: [turn[name] for turn in turns] for name in names}


def matrix_peak(shape: Shape, device: str) -> float:
    """FLOP/s of the best of thirty products of large square matrices."""
    side = 8192 if device == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=DTYPES[shape.dtype]) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: left @ right, device) for _ in range(30))


def run(names: list[str], shape: Shape, device: str, rounds: int, folder: str | None) -> dict[str, Any]:
    found = {name: alone(name, shape, device, rounds, folder) for name in track(names, "memory and FLOPs")}
    on_gpu = device == "cuda"
    taken = {name: found[name]["seconds"] for name in names} if on_gpu else in_turns(names, shape, rounds)
    peak = matrix_peak(shape, device)
    arms = {}
    for name in names:
        seconds, row = median(taken[name]), found[name]
        stock = taken[STOCK]
        paired = median(ours / theirs for ours, theirs in zip(taken[name], stock, strict=True))
        quarter = max(1, rounds // 4)
        arms[name] = {
            "seconds": seconds,
            "ratio": seconds / median(stock) if on_gpu else paired,
            "flops": row["flops"],
            "flops_ratio": row["flops"] / found[STOCK]["flops"],
            "bound_seconds": row["flops"] / peak,
            "utilisation": row["flops"] / peak / seconds,
            "tokens_per_second": row["tokens"] / seconds,
            "peak_bytes": row["peak"],
            "peak_ratio": row["peak"] / found[STOCK]["peak"],
            "growth": median(taken[name][-quarter:]) / median(taken[name][:quarter]),
        }
    about = {"device": device, "rounds": rounds, "matrix_flops_per_second": peak, "load": os.getloadavg()}
    about["memory_kept"] = KEEP.items() <= os.environ.items()
    return {"arms": arms, "shape": asdict(shape), **about, "threads": torch.get_num_threads(), **environment()}


def show(found: dict[str, Any]) -> None:
    table = Table(box=None)
    table.add_column("arm", no_wrap=True)
    on_gpu = found["device"] == "cuda"
    growth = ["growth"] if on_gpu else []
    for heading in ("s/step", "ratio", "bound s", "FLOPs ratio", "used", "tokens/s", "peak MiB", "ratio", *growth):
        table.add_column(heading, justify="right")
    for name, row in found["arms"].items():
        time_, bound = (f"{row['seconds']:.2f}", f"{row['ratio']:.2f}"), f"{row['bound_seconds']:.2f}"
        arithmetic = (bound, f"{row['flops_ratio']:.2f}", f"{row['utilisation']:.0%}")
        memory = (f"{row['peak_bytes'] / 2**20:,.0f}", f"{row['peak_ratio']:.2f}")
        speed = f"{row['tokens_per_second']:,.0f}"
        table.add_row(name, *time_, *arithmetic, speed, *memory, *([f"{row['growth']:.2f}"] if on_gpu else []))
    Console().print(table)
    if not on_gpu:
        Console().print("7B shapes on a GPU (--device cuda --shape 7b): not measured in this run.", style="dim")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--codes", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--profile", metavar="FOLDER")
    parser.add_argument("--keep-memory", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.keep_memory and not KEEP.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP)
    if given.device == "cpu":
        torch.set_num_threads(1)
    if given.alone:
        task = json.loads(given.alone)
        shape = Shape(**task.pop("shape"))
        print(json.dumps(measure_alone(shape=shape, **task)))
    elif given.device == "cuda" and not torch.cuda.is_available():
        Console().print(f"{given.shape} shapes on a GPU: not measured, since this machine has none")
    else:
        shape = replace(SHAPES[given.shape], codes=given.codes)
        results = run(list(ARMS), shape, given.device, given.rounds, given.profile)
        show(results)
        if given.out:
            given.out.write_text(json.dumps(results, indent=2) + "\n")
