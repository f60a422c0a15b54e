"""Making the world: pictures and their records, in a folder that is written whole or not at all."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from asvr.world import language
from asvr.world.draw import draw
from asvr.world.making import sha256
from asvr.world.records import (
    Record,
    caption_record,
    instruct_record,
    picture_name,
    picture_scene,
    question_records,
    region_record,
    unlabelled_record,
)
from asvr.world.scene import Split

_SEAL = "world.json"


@dataclass(frozen=True, kw_only=True)
class World:
    """What decides a world, to the last byte.

    Args:
        seed: Seed of all scenes, pictures and questions.
        train: Pictures with a caption and a conversation.
        unlabelled: Pictures without text.
        val: Pictures to choose settings on, each with one record per question.
        test: Pictures to report on, likewise.
        tower: Pictures for training a vision tower; 0 makes none.
        language: Text-only conversations for training a language model; 0 makes none.
    """

    seed: int = 0
    train: int = 1000
    unlabelled: int = 4000
    val: int = 200
    test: int = 500
    tower: int = 0
    language: int = 0

    def __post_init__(self) -> None:
        negative = {name: count for name, count in asdict(self).items() if count < 0}
        if negative:
            raise ValueError(f"a world's seed and counts must not be negative, but are {negative}. Give 0 or more.")


def make_world(out: Path, world: World) -> None:
    """Makes a world's folder: pictures in `images/` and the LLaVA records beside them.

    The scenes of the splits are disjoint. A folder that already holds this very world is left as it is.

    Args:
        out: The folder.
        world: What to make.

    Raises:
        ValueError: If the folder holds another world or anything else.
    """
    if out.exists():
        return _check_same(out, world)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "images").mkdir(parents=True)
    for split, count in _pictures(world).items():
        for index in track(range(count), description=f"drawing {split}", disable=count == 0):
            picture = draw(picture_scene(split, index, seed=world.seed), seed=f"{world.seed} {split} {index}")
            picture.save(partial / "images" / picture_name(split, index), compress_level=1)
    for name, records in _files(world).items():
        (partial / name).write_text(json.dumps(records, indent=0) + "\n")
    hashes = {name: sha256(partial / name) for name in _files_of(partial)}
    seal = {"asvr": version("asvr"), "world": asdict(world), "sha256": hashes}
    (partial / _SEAL).write_text(json.dumps(seal, indent=1) + "\n")
    partial.rename(out)
    return None


def _pictures(world: World) -> dict[Split, int]:
    return {
        "train": world.train,
        "unlabelled": world.unlabelled,
        "val": world.val,
        "test": world.test,
        "tower": world.tower,
    }


def _files(world: World) -> dict[str, Sequence[Record]]:
    seed = world.seed

    def each(make: Callable[..., Record], split: Split, count: int) -> list[Record]:
        return [make(split, index, seed=seed) for index in range(count)]

    def questions(split: Split, count: int) -> list[Record]:
        return [record for index in range(count) for record in question_records(split, index, seed=seed)]

    files: dict[str, Sequence[Record]] = {
        "train_captions.json": each(caption_record, "train", world.train),
        "train_instruct.json": each(instruct_record, "train", world.train),
        "unlabelled.json": each(unlabelled_record, "unlabelled", world.unlabelled),
        "val_instruct.json": questions("val", world.val),
        "test_instruct.json": questions("test", world.test),
        "tower.json": each(region_record, "tower", world.tower),
        "language.json": [language.word_record(index, seed=seed) for index in range(world.language)],
        "language_captions.json": [language.caption_record(index, seed=seed) for index in range(world.language // 10)],
    }
    return {name: records for name, records in files.items() if records}


def _files_of(folder: Path) -> Iterable[str]:
    return sorted(path.name for path in folder.glob("*.json"))


def _check_same(out: Path, world: World) -> None:
    seal = out / _SEAL
    if not seal.is_file():
        raise ValueError(f"{out} exists and is not a world: it has no {_SEAL}. Choose another folder, or delete it.")
    found = json.loads(seal.read_text())["world"]
    wanted = asdict(world)
    differing = [f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]
    if differing:
        raise ValueError(f"{out} holds another world: {', '.join(differing)}. Choose another folder, or delete it.")
