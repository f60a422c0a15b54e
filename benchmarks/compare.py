"""Seconds to score 100,000 answers and to compare two models by 10,000 resamples, beside a plain numpy bootstrap.

    python benchmarks/compare.py [--resamples 10000] [--out benchmarks/compare.json]

Two models' invented answers to eight benchmarks of their real sizes, written to files and read again. The plain
bootstrap is what one writes first: in every resample, draw the pictures by their numbers, add up their marks, and
compute the metrics. It is given the marks already added up by picture, and only those that a metric needs, so that it
does nothing but draw; it is run for two seconds per benchmark and its time scaled to all resamples. Both do the same
work in turn, in one run; the least of the rounds counts. Run it on a quiet machine: the load is written down.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from asvr.environment import environment
from asvr.evaluation.answer_file import Answer, Header, append_answers, write_header
from asvr.evaluation.benchmark_score import judge_answers
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.benchmarks.mme import ALL
from asvr.evaluation.figures import in_percent, resample
from asvr.evaluation.suite_arms import Suite, load_suite, read_arms
from asvr.evaluation.suite_compare import compare_suite
from asvr.evaluation.sums import add_up, apply, divide
from asvr.evaluation.tally import Tally, tally

ROUNDS = 3
PLAIN_SECONDS = 2.0
SKILL = {"text-only": 0.60, "asvr": 0.62}
WORDS = ["red", "green", "blue", "round", "square", "large", "left", "right", "train", "street", "window", "paper"]

Row = tuple[dict[str, Any], str, str]
"""A question's row, its right answer and a wrong one."""


class Made(NamedTuple):
    questions: int
    pictures: int
    make: Callable[[int, int, Random], Row]


def texts(number: int, picture: int, random: Random) -> Row:
    right, other, wrong = (" ".join(random.sample(WORDS, 3)) for _ in range(3))
    agreeing = random.randint(1, 10)
    return {"answers": [right] * agreeing + [other] * (10 - agreeing)}, right, random.choice([other, wrong])


def misread(number: int, picture: int, random: Random) -> Row:
    right = " ".join(random.sample(WORDS, 4))
    wrong = "".join(random.choice("xyz") if random.random() < 0.2 else letter for letter in right)
    return {"answers": [right, right.upper()]}, right, wrong


def words(number: int, picture: int, random: Random) -> Row:
    right, wrong = random.sample(WORDS, 2)
    return {"answer": right}, right, wrong


def letters(number: int, picture: int, random: Random) -> Row:
    right, wrong = random.sample("ABCD", 2)
    return {"answer": right, "question_type_id": number % 9 + 1}, right, f"({wrong})"


def yes_no(number: int, picture: int, random: Random) -> Row:
    right, wrong = ("yes", "no") if number % 2 else ("no", "yes")
    return {"answer": right, "category": ALL[picture % 14], "question_id": str(picture)}, right, wrong


def pairs(number: int, picture: int, random: Random) -> Row:
    return {"Index": str(number + 1), "Options": "(a) Open (b) Closed", "Correct Answer": "(a)"}, "A", "B"


MADE = {
    "textvqa": Made(5_000, 3_166, texts),
    "docvqa": Made(5_349, 1_286, misread),
    "chartqa": Made(2_500, 1_509, words),
    "mme": Made(2_374, 1_187, yes_no),
    "seed_image": Made(14_232, 7_116, letters),
    "gqa": Made(12_578, 398, words),
    "mmvp": Made(300, 300, pairs),
    "pope": Made(9_000, 500, yes_no),
}
"""Questions, pictures (two questions about each are a guess for SEED-Image) and what makes a row."""


def write_arm(folder: Path, *, skill: float) -> Path:
    header = Header("none", "none", "none", "none", 16, None, 0, {}, protocol="paper")
    chance = Random(folder.name)
    for name, made in MADE.items():
        random, answers = Random(name), []
        for number in range(made.questions):
            picture = number * made.pictures // made.questions
            item, right, wrong = made.make(number, picture, random)
            said = right if chance.random() < skill else wrong
            answers.append(Answer(str(number), item.get("category", ""), (str(picture),), "?", said, right, item))
        write_header(folder / name, replace(header, benchmark=name, num_questions=made.questions))
        append_answers(folder / name, answers)
    return folder


def plain(counted: Tally, metrics: dict[str, Callable[..., Any]], resamples: int) -> float:
    """Gives the seconds that so many resamples take, from as many as fit in `PLAIN_SECONDS`."""
    generator, begun, done = np.random.default_rng(0), time.perf_counter(), 0
    num_groups = counted.values.shape[2]
    while done < resamples and time.perf_counter() - begun < PLAIN_SECONDS:
        drawn = generator.integers(0, num_groups, num_groups)
        ratios = divide(counted.ratios, counted.values[:, :, drawn].sum(2), counted.counts[:, :, drawn].sum(2))
        for metric in metrics.values():
            found = apply(metric, ratios)
            (found[1] - found[0]).mean()
        done += 1
    return (time.perf_counter() - begun) / done * resamples


def needed(counted: Tally, metrics: dict[str, Callable[..., Any]]) -> Tally:
    """Keeps the ratios that the metrics read."""
    ones = dict.fromkeys(counted.ratios, np.ones(()))

    def matters(ratio: str) -> bool:
        return any(float(metric(ones | {ratio: np.zeros(())})) != float(metric(ones)) for metric in metrics.values())

    kept = [column for column, ratio in enumerate(counted.ratios) if matters(ratio)]
    ratios = [counted.ratios[column] for column in kept]
    return Tally(counted.seeds, ratios, counted.values[..., kept], counted.counts[..., kept])


def measure(suite: Suite, name: str, resamples: int) -> dict[str, float]:
    protocol = suite.protocol(name)
    metrics = {key: metric for key, metric in protocol.metrics.items() if in_percent(metric)}
    begun = time.perf_counter()
    arms = read_arms(suite, name)
    read = time.perf_counter()
    judged = [judge_answers(BENCHMARKS[name], "paper", arm.runs["single"]) for arm in arms]
    counted = tally(*({"single": add_up(protocol.mark(each))} for each in judged))
    scored = time.perf_counter()
    resample(counted, metrics, num_questions=dict.fromkeys(metrics, 0), resamples=resamples, seed=0)
    compared = time.perf_counter()
    found = {"read": read - begun, "score": scored - read, "resample": compared - scored}
    return {**found, "plain": plain(needed(counted, metrics), metrics, resamples)}


def run(resamples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        suite = load_suite([write_arm(Path(temporary) / name, skill=skill) for name, skill in SKILL.items()])
        rounds, whole = [], []
        for _ in range(ROUNDS):
            rounds.append({name: measure(suite, name, resamples) for name in suite.results})
            begun = time.perf_counter()
            comparison = compare_suite(suite, resamples=resamples).comparisons[0]
            whole.append(time.perf_counter() - begun)
    best = {
        name: {part: min(turn[name][part] for turn in rounds) for part in rounds[0][name]} for name in suite.results
    }
    total = {part: sum(row[part] for row in best.values()) for part in ("read", "score", "resample", "plain")}
    return {
        "answers": len(SKILL) * sum(made.questions for made in MADE.values()),
        "resamples": resamples,
        "seconds": {**best, "all": total},
        "ratio": total["plain"] / total["resample"],
        "whole_command": min(whole),
        "verdict": comparison.average.verdict,
        "load_at_the_end": os.getloadavg()[0],
        "threads": torch.get_num_threads(),
        "rounds": ROUNDS,
        **environment(),
    }


def show(found: dict[str, Any]) -> None:
    table = Table(box=None, title=f"seconds for {found['answers']:,} answers, {found['resamples']:,} resamples")
    table.add_column("benchmark")
    for heading in ("read", "score", "resample", "plain bootstrap", "ratio"):
        table.add_column(heading, justify="right")
    for name, row in found["seconds"].items():
        ratio = f"{row['plain'] / row['resample']:.1f}"
        table.add_row(name, *(f"{row[part]:.2f}" for part in ("read", "score", "resample", "plain")), ratio)
    Console().print(table)
    Console().print(f"All of it as one command: {found['whole_command']:.1f} s", highlight=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = run(given.resamples)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
