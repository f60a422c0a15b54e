"""What stands in for the published parts of a recipe at laptop size: each is made in seconds from the embedded world.

Every stand-in lies below one folder under the name of what it stands for, so that `asvr.recipes.shrink` only has to put
the folder before the name. `STAND_INS` says what each is, and what it therefore cannot show.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from asvr.derive import flatten
from asvr.recipes.spec import Recipe
from asvr.studies.stand_in_data import Scale, make_worlds, world_pictures
from asvr.studies.stand_in_models import carry_over, continue_tower, deepen, train_autoencoder, untrained_tower
from asvr.studies.stand_in_targets import (
    autoencoder_latents,
    fit_stand_in,
    pixel_patches,
    tower_features,
    write_continuous,
)

SIGLIP2 = "google/siglip2-so400m-patch14-384"
SCALE, SCALE_FILE = Scale(), "scale.json"
TINY_PARTS = Path("runs/tiny-parts")
"""Where `asvr train --tiny` keeps its stand-ins."""


class StandIn(NamedTuple):
    """A part at laptop size.

    Args:
        what: What it is, for a footnote.
        make: Makes it in a folder, from the folder of all parts.
    """

    what: str
    make: Callable[[Path, Path, Scale], None]


def make_stand_ins(recipes: Iterable[Recipe], parts: Path, *, scale: Scale = SCALE) -> None:
    """Makes what shrunk recipes need and is not there yet.

    Args:
        recipes: What `shrink` gave for the same folder.
        parts: The folder.
        scale: How much there is of everything.

    Raises:
        ValueError: If a recipe names a part that has no stand-in, or the folder holds those of another scale.
    """
    recipes = list(recipes)
    _claim(parts, scale)
    make_worlds(recipes, parts, scale)
    needed = list(dict.fromkeys(name for recipe in recipes for name in stand_ins_of(recipe, parts)))
    for name in needed:
        if name not in STAND_INS:
            raise ValueError(f"there is no stand-in for {name}: add one to STAND_INS in asvr/studies/stand_ins.py")
    missing = [name for name in needed if not (parts / name).is_dir()]
    for number, name in enumerate(missing, start=1):
        title = f"stand-in {number} of {len(missing)}: [bold]{name}[/], {STAND_INS[name].what}"
        Console().print(title, highlight=False)
        _make(name, parts, scale)


def stand_ins_of(recipe: Recipe, parts: Path) -> tuple[str, ...]:
    """Names the stand-ins below a folder that a shrunk recipe uses."""
    named = [text for text in flatten(recipe).values() if isinstance(text, str)]
    below = {Path(text).relative_to(parts).as_posix() for text in named if Path(text).is_relative_to(parts)}
    return tuple(sorted(below))


def _make(name: str, parts: Path, scale: Scale) -> Path:
    """Makes a stand-in, whole or not at all, where it is not there yet."""
    out = parts / name
    if not out.is_dir():
        partial_folder = out.with_name(f".{out.name}.partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        partial_folder.parent.mkdir(parents=True, exist_ok=True)
        STAND_INS[name].make(partial_folder, parts, scale)
        partial_folder.rename(out)
    return out


def _claim(parts: Path, scale: Scale) -> None:
    kept = parts / SCALE_FILE
    if not kept.is_file():
        parts.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(scale)) + "\n")
    elif json.loads(kept.read_text()) != asdict(scale):
        raise ValueError(f"{parts} holds stand-ins of another scale ({kept}): choose another folder, or delete it")


def _language_model(family: str, out: Path, parts: Path, scale: Scale) -> None:
    carry_over(family, out)


def _deeper(out: Path, parts: Path, scale: Scale) -> None:
    deepen(out)


def _second_tower(out: Path, parts: Path, scale: Scale) -> None:
    continue_tower(out, steps=scale.tower_steps, checkpoint=parts / "tower-pictures" / "checkpoint.pt")


def _untrained(out: Path, parts: Path, scale: Scale) -> None:
    untrained_tower(out)


def _autoencoder(out: Path, parts: Path, scale: Scale) -> None:
    checkpoint = parts / "autoencoder.pt"
    train_autoencoder(out, world_pictures(parts), steps=scale.autoencoder_steps, checkpoint=checkpoint)


def _semantic(out: Path, parts: Path, scale: Scale, *, tower: str = "", layer: int = -2, share: float = 1.0) -> None:
    source = str(_make(tower, parts, scale)) if tower else "embedded:tower"
    fit_stand_in(tower_features(source, layer), parts, scale, out, share=share)


def _appearance(out: Path, parts: Path, scale: Scale) -> None:
    fit_stand_in(pixel_patches(), parts, scale, out)


def _continuous(out: Path, parts: Path, scale: Scale, *, tower: str = "") -> None:
    source = str(_make(tower, parts, scale)) if tower else "embedded:tower"
    write_continuous(tower_features(source), parts, out)


def _latents(out: Path, parts: Path, scale: Scale) -> None:
    write_continuous(autoencoder_latents(_make("autoencoder", parts, scale)), parts, out)


STAND_INS: dict[str, StandIn] = {
    "mistralai/Mistral-7B-Instruct-v0.2": StandIn(
        "a stock Mistral with the embedded language model's weights, whose arithmetic is the same",
        partial(_language_model, "mistral"),
    ),
    "lmsys/vicuna-13b-v1.5": StandIn(
        "the embedded language model and two more blocks, which begin as the identity", _deeper
    ),
    "Qwen/Qwen2.5-7B-Instruct": StandIn(
        "a stock Qwen2 with the embedded language model's weights, its biases zero", partial(_language_model, "qwen2")
    ),
    "Qwen/Qwen3-8B": StandIn(
        "a stock Qwen3 with the embedded language model's weights; its norms of queries and keys are new",
        partial(_language_model, "qwen3"),
    ),
    SIGLIP2: StandIn("the embedded tower, trained on other pictures for longer", _second_tower),
    "untrained-tower": StandIn("a tower with random weights", _untrained),
    "autoencoder": StandIn("a small AutoencoderKL, trained on the world's pictures", _autoencoder),
    "tokenizers/siglip-so400m": StandIn("4 x 128 codes of the embedded tower's features, by k-means", _semantic),
    "tokenizers/siglip-so400m-3m": StandIn(
        "the same, fitted on a quarter of the pictures", partial(_semantic, share=0.25)
    ),
    "tokenizers/siglip2-so400m": StandIn(
        "4 x 128 codes of the second tower's features", partial(_semantic, tower=SIGLIP2)
    ),
    "tokenizers/appearance": StandIn("4 x 128 codes of pixel patches", _appearance),
    "tokenizers/dinov3": StandIn(
        "4 x 128 codes of a tower with random weights: features that know no words, and no more than that",
        partial(_semantic, tower="untrained-tower"),
    ),
    "tokenizers/depth-anything": StandIn(
        "4 x 128 codes of the embedded tower's first block: another feature space, and no depth",
        partial(_semantic, layer=1),
    ),
    "targets/vae": StandIn("2 x 2 latents of 16 channels of the small autoencoder", _latents),
    "targets/siglip": StandIn("the embedded tower's features, standardised", _continuous),
    "targets/dinov2": StandIn("features of a tower with random weights", partial(_continuous, tower="untrained-tower")),
}
"""Stand-ins by the name of what they stand for."""
