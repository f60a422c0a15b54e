"""The embedded world as training data of every size: pictures, records and questions for shrunk recipes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from asvr.data.dataset import Source
from asvr.data.pictures import Pictures, find_pictures
from asvr.models.visual_input import AnyResInput, MultiScaleInput
from asvr.recipes.shrink import MORE_CAPTIONS, MORE_QUESTIONS
from asvr.recipes.spec import Recipe
from asvr.world.draw import PICTURE_SIZE, draw
from asvr.world.generate import World, make_world
from asvr.world.records import picture_name, picture_scene
from asvr.world.scene import Split

LARGER = 3
"""Times the usual side of a picture, for the recipes of high resolution."""

WORLD, MORE = "world", "world-more"
FILES = {
    "world-captions": (WORLD, "train_captions.json"),
    "world-questions": (WORLD, "train_instruct.json"),
    MORE_CAPTIONS: (MORE, "train_captions.json"),
    MORE_QUESTIONS: (MORE, "train_instruct.json"),
}
"""Where a data set of the manifest lies among the stand-ins."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much there is of everything.

    Args:
        train: Pictures of a recipe on LLaVA-558K and 665K.
        more: Additional pictures, for recipes on more data.
        unlabelled: Pictures that tokenizers and the autoencoder are made from.
        test: Pictures that questions are asked about.
        tower_steps: Steps of the second tower.
        autoencoder_steps: Steps of the autoencoder.
        depth: Codes per visual token.
        num_codes: Code vectors per codebook.
    """

    train: int = 1000
    more: int = 3000
    unlabelled: int = 2000
    test: int = 250
    tower_steps: int = 250
    autoencoder_steps: int = 200
    depth: int = 4
    num_codes: int = 128

    @property
    def worlds(self) -> dict[str, World]:
        """Gives the worlds by their folder."""
        return {
            WORLD: World(seed=0, train=self.train, unlabelled=self.unlabelled, val=0, test=self.test),
            MORE: World(seed=1, train=self.more, unlabelled=0, val=0, test=0),
        }


def make_worlds(recipes: Iterable[Recipe], parts: Path, scale: Scale) -> None:
    """Makes pictures and records, and larger pictures where a recipe looks at them."""
    larger = any(is_larger(recipe) for recipe in recipes)
    for name, world in scale.worlds.items():
        make_world(parts / name, world)
        if larger:
            draw_larger(world, parts / "larger" / name)


def draw_larger(world: World, out: Path) -> None:
    """Draws the pictures of a world again, in more detail; its records fit them as they are.

    Args:
        world: What decided the world.
        out: Folder to write; one that is finished is left as it is.
    """
    seal = out / "larger.json"
    if seal.is_file():
        return
    (out / "images").mkdir(parents=True, exist_ok=True)
    counts: dict[Split, int] = {"train": world.train, "test": world.test}
    for split, count in counts.items():
        for index in track(range(count), description=f"drawing {split} larger", disable=count == 0):
            seed = f"{world.seed} {split} {index}"
            picture = draw(picture_scene(split, index, seed=world.seed), seed=seed, size=LARGER * PICTURE_SIZE)
            picture.save(out / "images" / picture_name(split, index), compress_level=1)
    seal.write_text(json.dumps({"times": LARGER}) + "\n")


def is_larger(recipe: Recipe) -> bool:
    """Says whether a recipe looks at pictures of high resolution."""
    return isinstance(recipe.model.visual_input, (MultiScaleInput, AnyResInput))


def stand_in_data(recipe: Recipe, parts: Path) -> dict[str, tuple[Source, ...]]:
    """Gives the sources of each stage of a shrunk recipe."""

    def source(name: str) -> Source:
        world, file = FILES[name]
        return Source(parts / world / file, _images(recipe, parts, world), name)

    return {stage.name: tuple(source(share.name) for share in stage.mixture) for stage in recipe.stages}


def stand_in_questions(recipe: Recipe, parts: Path) -> Source:
    """Gives the questions that a shrunk recipe is judged by."""
    return Source(parts / WORLD / "test_instruct.json", _images(recipe, parts, WORLD))


def world_pictures(parts: Path) -> Pictures:
    """Gives the pictures that tokenizers, targets and the autoencoder are made from."""
    return find_pictures(str(parts / WORLD / "unlabelled.json"), parts / WORLD / "images")


def _images(recipe: Recipe, parts: Path, world: str) -> Path:
    return parts / "larger" / world / "images" if is_larger(recipe) else parts / world / "images"
