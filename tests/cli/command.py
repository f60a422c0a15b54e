"""A command that works, and ways to spoil it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.parts import write_tokenizer, write_tower

DATA = {"pretrain": "captions.json", "instruct": "instruct.json"}
HUMAN, GPT = "human", "gpt"


class Command:
    """A command that would work, on its own copy of the records, to be spoilt by a test."""

    def __init__(self, parts: Path, folder: Path, recipe: str = "tiny-asvr") -> None:
        self.parts, self.folder = parts, folder
        self.records = Path(shutil.copytree(parts / "records", folder / "records"))
        self.out = folder / "run"
        self.recipe = recipe
        self.data = [f"{stage}={self.records / file}" for stage, file in DATA.items()]
        self.images = [str(self.records / "images")]
        self.tokenizer: str | None = str(parts / "tokenizer")
        self.changes = {
            "model.language_model": str(parts / "language_model"),
            "model.vision_tower": str(parts / "tower"),
        }
        for stage in DATA:
            self.changes |= {f"stages.{stage}.optimisation.batch_size": "4", f"stages.{stage}.optimisation.epochs": "1"}
            if recipe != "tiny-llava":
                head = f"stages.{stage}.supervision.semantic.head"
                self.changes |= {f"{head}.width": "64", f"{head}.head_width": "64"}
        self.more: list[str] = []

    def argv(self) -> list[str]:
        options = [word for value in self.data for word in ("--data", value)]
        options += [word for value in self.images for word in ("--images", value)]
        options += ["--tokenizer", self.tokenizer] if self.tokenizer else []
        options += [word for path, value in self.changes.items() for word in ("--set", f"{path}={value}")]
        return ["train", self.recipe, *options, "--out", str(self.out), *self.more]

    def rewrite(self, change: Callable[[list[dict[str, Any]]], object], file: str = "instruct.json") -> None:
        """Changes the records of the second stage, by default."""
        records = json.loads((self.records / file).read_text())
        change(records)
        (self.records / file).write_text(json.dumps(records))


def turns(command: Command, *values: tuple[str, str], index: int = 0, file: str = "instruct.json") -> None:
    spoken = [{"from": speaker, "value": text} for speaker, text in values]
    command.rewrite(lambda records: records[index].update(conversations=spoken), file)


def image(command: Command, name: object) -> None:
    command.rewrite(lambda records: records[0].update(image=name))


def text_file(command: Command, text: str) -> None:
    (command.records / "instruct.json").write_text(text)


def truncate(command: Command) -> None:
    picture = command.records / "images" / "7.png"
    picture.write_bytes(picture.read_bytes()[:200])


def other_grid(command: Command) -> None:
    tower = write_tower(command.folder / "tower", image_size=36)
    # The pictures of tests/parts.py: nine visual tokens each.
    command.tokenizer = str(write_tokenizer(command.folder / "tokenizer", tower))


def other_tower(command: Command) -> None:
    tower = write_tower(command.folder / "tower", seed=9)
    command.tokenizer = str(write_tokenizer(command.folder / "tokenizer", tower))
