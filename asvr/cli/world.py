"""`asvr world`: the embedded world's pictures, vision tower and language model, each made by one command."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="The embedded world: make its pictures and records, its tower and its language model.")

Steps = Annotated[int, typer.Option(min=1, help="Optimiser steps.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Records per step.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate.")]
WarmUp = Annotated[int, typer.Option(min=0, help="Steps over which the learning rate rises.")]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal results.")]
Out = Annotated[Path, typer.Option(help="Folder to write.")]


@app.command()
def make(
    out: Out,
    seed: Seed = 0,
    train: Annotated[int, typer.Option(min=0, help="Pictures with a caption and a conversation.")] = 1000,
    unlabelled: Annotated[int, typer.Option(min=0, help="Pictures without text.")] = 4000,
    val: Annotated[int, typer.Option(min=0, help="Pictures to choose settings on.")] = 200,
    test: Annotated[int, typer.Option(min=0, help="Pictures to report on.")] = 500,
    tower: Annotated[int, typer.Option(min=0, help="Pictures to train a vision tower on.")] = 0,
    language: Annotated[int, typer.Option(min=0, help="Conversations to train a language model on.")] = 0,
) -> None:
    """Make pictures and LLaVA records; the scenes of the splits are disjoint."""
    from asvr.world.generate import World, make_world

    world = World(seed=seed, train=train, unlabelled=unlabelled, val=val, test=test, tower=tower, language=language)
    make_world(out, world)
    Console().print(f"world in {out}")


@app.command()
def tower(
    data: Annotated[Path, typer.Option(help="LLaVA records with captions, or with regions.")],
    images: Annotated[Path, typer.Option(help="Folder of the pictures.")],
    out: Out,
    image_size: Annotated[int, typer.Option(min=1, help="Side of the tower's pictures in pixels.")] = 72,
    patch_size: Annotated[int, typer.Option(min=1, help="Side of a patch in pixels.")] = 12,
    hidden_size: Annotated[int, typer.Option(min=4, help="Width.")] = 128,
    num_layers: Annotated[int, typer.Option(min=2, help="Encoder layers.")] = 4,
    steps: Steps = 2000,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 1.5e-3,
    warm_up: WarmUp = 100,
    seed: Seed = 0,
    measure: Annotated[bool, typer.Option("--measure", help="Probe it on the embedded world's pictures.")] = False,
) -> None:
    """Train a small SigLIP vision tower from scratch."""
    from asvr.world.fit import Descent
    from asvr.world.measure import measure_tower
    from asvr.world.tower import TowerSize, fit_tower

    size = TowerSize(image_size=image_size, patch_size=patch_size, hidden_size=hidden_size, num_layers=num_layers)
    descent = Descent(steps=steps, batch_size=batch_size, learning_rate=learning_rate, warm_up=warm_up, seed=seed)
    fit_tower(data, images, out, size=size, descent=descent)
    Console().print(f"vision tower in {out}", measure_tower(out) if measure else "")


@app.command()
def language_model(
    data: Annotated[Path, typer.Option(help="LLaVA records without images.")],
    captions: Annotated[Path, typer.Option(help="LLaVA records without images: captions alone.")],
    out: Out,
    hidden_size: Annotated[int, typer.Option(min=4, help="Width.")] = 128,
    num_layers: Annotated[int, typer.Option(min=1, help="Decoder layers.")] = 4,
    steps: Steps = 3000,
    batch_size: BatchSize = 16,
    learning_rate: LearningRate = 1.5e-3,
    warm_up: WarmUp = 100,
    seed: Seed = 0,
    measure: Annotated[
        bool, typer.Option("--measure", help="Ask it about the embedded world's word pictures.")
    ] = False,
) -> None:
    """Train a small Llama from scratch on text-only conversations."""
    from asvr.world.fit import Descent
    from asvr.world.language_model import LanguageModelSize, fit_language_model
    from asvr.world.measure import measure_language_model

    size = LanguageModelSize(hidden_size=hidden_size, num_layers=num_layers)
    descent = Descent(steps=steps, batch_size=batch_size, learning_rate=learning_rate, warm_up=warm_up, seed=seed)
    fit_language_model(data, out, captions=captions, size=size, descent=descent)
    Console().print(f"language model in {out}", measure_language_model(out) if measure else "")
