"""A study's folder as the demo leaves it, with answers and losses that are drawn instead of trained."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from asvr.derive import as_json, flatten
from asvr.evaluation.answer_file import Answer, Header, append_answers, write_header
from asvr.evaluation.arms import load_arms
from asvr.evaluation.compare import compare_all
from asvr.evaluation.comparison import write_comparisons
from asvr.evaluation.score import write_scores
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.world.draw import draw
from asvr.world.records import picture_name, picture_scene, question_records

ON = "test_instruct"
GRID, DEPTH, NUM_CODES = (6, 6), 4, 128
SKILL = {"text-only": 0.62, "asvr": 0.67, "asvr-unlabelled": 0.70, "text-only-longer": 0.62}
"""Probability of a right answer."""
ARMS = (
    ("text-only", "tiny-llava", "LLaVA: loss on the text alone"),
    ("asvr", "tiny-asvr", "and the visual loss on the same pictures"),
    ("asvr-unlabelled", "tiny-asvr-unlabelled", "and the visual loss on as many pictures without any text"),
    ("text-only-longer", "tiny-llava", "LLaVA for as many seconds as asvr"),
)


def make_study(folder: Path, *, num_seeds: int = 3, num_pictures: int = 12, num_steps: int = 40) -> Path:
    """Writes a whole study and gives its folder."""
    questions = make_questions(folder / "world" / "images", num_pictures)
    for name, recipe, _ in ARMS:
        for seed in range(num_seeds):
            _write_run(folder / name / f"seed-{seed}", recipe_of(name, recipe), questions, seed, num_steps)
    arms = load_arms([folder / name for name, _, _ in ARMS], on=ON)
    about = {"evaluation": ON, "prompt_hash": "hash", "seeds": list(arms[0].runs)}
    comparisons = compare_all(arms[0], arms[1:], resamples=500)
    write_comparisons(folder / "comparison.json", comparisons, about=about)
    _write_mechanism(folder)
    _write(
        folder / "study.json",
        {
            "name": folder.name,
            "title": "ASVR at laptop scale",
            "arms": [{"name": name, "recipe": recipe, "note": note} for name, recipe, note in ARMS],
            "seeds": list(range(num_seeds)),
            "on": ON,
            "images": str(folder / "world" / "images"),
            "baseline": "text-only",
            "provenance": {
                "commit": "0123456789abcdef",
                "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
                "hardware": "x86_64, 1 CPU thread(s)",
                "command": ["/somewhere/bin/asvr", "demo", "--out", "runs/demo"],
            },
            "seconds": 1234.5,
        },
    )
    return folder


def recipe_of(arm: str, name: str) -> Recipe:
    recipe = RECIPES[name]
    *before, last = recipe.stages
    epochs = 4.5 if arm == "text-only-longer" else 3.0
    return replace(recipe, stages=(*before, replace(last, optimisation=replace(last.optimisation, epochs=epochs))))


def make_questions(images: Path, num_pictures: int) -> list[Answer]:
    """Draws pictures of the embedded world; the answers are the right ones."""
    images.mkdir(parents=True)
    questions = []
    for index in range(num_pictures):
        name = picture_name("test", index)
        draw(picture_scene("test", index, seed=0), seed=index).save(images / name)
        for record in question_records("test", index, seed=0):
            human, model = (turn["value"] for turn in record["conversations"])
            questions.append(Answer(record["id"], record["category"], (name,), human, model, model))
    return questions


def _write_run(folder: Path, recipe: Recipe, questions: Sequence[Answer], seed: int, num_steps: int) -> None:
    rng = Random(f"{folder.parent.name} {seed}")
    parts = {"name": recipe.name, "fields": flatten(recipe), "recipe": as_json(recipe)}
    _write(folder / "recipe.json", parts)
    for stage in recipe.stages:
        steps = num_steps * (1 if stage.name == "pretrain" else round(2 * stage.optimisation.epochs / 3) + 1)
        _write_stage(folder / stage.name, steps, supervised=bool(stage.supervision), rng=rng)
    _write_answers(folder / "evaluation" / ON, questions, rng, skill=SKILL[folder.parent.name])
    if recipe.stages[-1].supervision:
        _write_reconstruction(folder, sorted({question.images[0] for question in questions})[:3], seed)


def _write_stage(folder: Path, steps: int, *, supervised: bool, rng: Random) -> None:
    facts = {
        "steps": steps,
        "seconds": steps * (0.6 if supervised else 0.4),
        "trained_parameters": {"vlm.model.multi_modal_projector.": 12_345},
        "tokens": {
            "samples": 100,
            "images": 100,
            "visual_tokens": 3600,
            "text_tokens": 5000,
            "supervised_tokens": 1200,
        },
    }
    _write(folder / "stage.json", facts)
    lines = [_line(step, steps, supervised=supervised, rng=rng) for step in range(5, steps + 1, 5)]
    lines.append({"step": steps, "train_runtime": facts["seconds"]})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _line(step: int, steps: int, *, supervised: bool, rng: Random) -> dict[str, float]:
    done = step / steps
    line = {"step": step, "epoch": done, "loss_text": 0.4 + 3 * math.exp(-4 * done) + rng.gauss(0, 0.03)}
    if supervised:
        for depth in range(DEPTH):
            reached = done * 0.5 / (depth + 1)
            line[f"semantic_loss_depth_{depth}"] = math.log(NUM_CODES) * (1 - reached) + rng.gauss(0, 0.03)
            line[f"semantic_accuracy_depth_{depth}"] = reached * 0.9
    return line


def _write_answers(folder: Path, questions: Sequence[Answer], rng: Random, *, skill: float) -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        said[question.category].add(question.reference)
    answers = [
        question
        if rng.random() < skill
        else replace(question, answer=rng.choice(sorted(said[question.category] - {question.reference})))
        for question in questions
    ]
    write_header(folder, Header("model", "hash", "hash", "data", 8, None, len(answers), {"asvr": "0.1.0"}))
    append_answers(folder, answers)
    write_scores(folder)


def _write_reconstruction(folder: Path, images: Sequence[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    chances = {"untrained": 0.01, "pretrain": 0.35, "instruct": 0.6}
    codes = rng.integers(0, 20, (len(images), GRID[0] * GRID[1], DEPTH))
    guessed = {}
    for moment, chance in chances.items():
        right = rng.random(codes.shape) < chance / np.arange(1, DEPTH + 1)
        guessed[moment] = np.where(right, codes, rng.integers(0, 20, codes.shape))
    content = {
        "grid": GRID,
        "num_codes": NUM_CODES,
        "accuracy": {moment: (codes == each).mean((0, 1)).tolist() for moment, each in guessed.items()},
        "most_frequent": [0.12, 0.1, 0.09, 0.08],
        "pictures": [
            {
                "image": image,
                "codes": codes[index].tolist(),
                "reconstructed": {moment: each[index].tolist() for moment, each in guessed.items()},
            }
            for index, image in enumerate(images)
        ],
    }
    _write(folder / "reconstruction.json", content)


def _write_mechanism(folder: Path) -> None:
    kinds = ["colour", "shape", "size", "character"]

    def row(*shares: float) -> dict[str, float]:
        return dict(zip(kinds, shares, strict=True))

    accuracy = {
        "continuous features": row(0.99, 0.97, 0.9, 0.85),
        "semantic codes": row(0.95, 0.88, 0.72, 0.51),
        "appearance codes": row(0.93, 0.31, 0.6, 0.12),
    }
    probes = {"kinds": kinds, "chance": row(0.16, 0.18, 0.52, 0.07), "accuracy": accuracy, "objects": 4321}
    _write(folder / "probes.json", probes)
    health = [{"usage": 0.98, "perplexity": 80 / (d + 1), "residual_energy": 0.5 / (d + 1)} for d in range(DEPTH)]
    about = {"depth": DEPTH, "num_codes": NUM_CODES, "grid": GRID, "health": health}
    _write(folder / "tokenizer.json", {"semantic": about, "appearance": about})


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
