"""Tiny real parts in stock classes: a language model, a vision tower, a visual tokenizer, and records that use them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from asvr.derive import derive
from asvr.models.visual_input import DiscreteInput
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings

IMAGE_SIZE, PATCH_SIZE = 24, 12
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 200), "white": (240, 240, 240)}


@dataclass(frozen=True)
class Album:
    """Pictures in memory."""

    pictures: list[Image.Image]

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, index: int) -> str:
        return f"picture {index}"

    def open(self, index: int) -> Image.Image:
        return self.pictures[index]

    def caption(self, index: int) -> str | None:
        return None


def write_language_model(folder: Path, tokenizer: PreTrainedTokenizerFast, **changes: object) -> Path:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **ids, **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_tower(folder: Path, *, seed: int = 2, image_size: int = IMAGE_SIZE) -> Path:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    SiglipVisionModel(SiglipVisionConfig(image_size=image_size, patch_size=PATCH_SIZE, **sizes)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": image_size, "width": image_size}).save_pretrained(folder)
    return folder


def pictures(count: int) -> list[Image.Image]:
    """Squares of one colour each, with noise, so that no two patches are equal."""
    noise = np.random.default_rng(0)
    colours = list(COLOURS.values())
    noisy = [np.full((30, 30, 3), colours[index % 4]) + noise.integers(-30, 30, (30, 30, 3)) for index in range(count)]
    return [Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")) for pixels in noisy]


def write_tokenizer(folder: Path, tower: Path, *, depth: int = 3, num_codes: int = 8) -> Path:
    processor = SiglipImageProcessorPil.from_pretrained(tower)
    features = TowerFeatures(SiglipVisionModel.from_pretrained(tower), processor)
    fit_tokenizer(features, Album(pictures(40)), settings=FitSettings(depth=depth, num_codes=num_codes), out=folder)
    return folder


def write_targets(folder: Path, tower: Path) -> Path:
    """The tower's features, standardised over forty pictures."""
    from asvr.tokenizers.channel_statistics import measure_channels

    features = TowerFeatures(SiglipVisionModel.from_pretrained(tower), SiglipImageProcessorPil.from_pretrained(tower))
    measured = measure_channels(features, Album(pictures(40)))
    ContinuousTargets(features, statistics=measured.statistics, about=measured.about).save_pretrained(folder)
    return folder


def write_records(folder: Path, count: int = 8) -> Path:
    """`captions.json`, `instruct.json` (of every kind of sample), `unlabelled.json`, `eval.json` and `images/`."""
    (folder / "images").mkdir(parents=True)
    names = list(COLOURS)
    for index, picture in enumerate(pictures(count)):
        picture.save(folder / "images" / f"{index}.png")
    colour = [names[index % 4] for index in range(count)]
    captions = [talk(f"c{i}", "<image>\nDescribe.", f"a {colour[i]} box", image=f"{i}.png") for i in range(count)]
    questions = [talk(f"q{i}", "<image>\nWhich colour?", colour[i], image=f"{i}.png") for i in range(count)]
    several = talk("two", "<image><image>\nAre both red?", "no", image=["0.png", "1.png"])
    text_only = talk("text", "Is there a blue triangle?", "yes")
    unlabelled = [{"id": f"u{i}", "image": f"{i}.png"} for i in range(count)]
    files = {
        "captions": captions,
        "instruct": [*questions, several, text_only],
        "unlabelled": unlabelled,
        "eval": [{**question, "category": "colour"} for question in questions],
    }
    for name, records in files.items():
        (folder / f"{name}.json").write_text(json.dumps(records))
    return folder


def talk(name: str, question: str, answer: str, **fields: object) -> dict[str, object]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": name, **fields, "conversations": turns}


def shrink(name: str, parts: Path, **changes: str) -> Recipe:
    """A recipe on the tiny parts, with two steps a stage; what it would read from a cache is computed in every step."""
    recipe = RECIPES[name]
    model = replace(recipe.model, language_model=str(parts / "language_model"), vision_tower=str(parts / "tower"))
    recipe = replace(recipe, model=model, precision="fp32")
    small = {}
    if isinstance(model.visual_input, DiscreteInput):
        small["model.visual_input.tokenizer"] = str(parts / "tokenizer")
    for stage in recipe.stages:
        path = f"stages.{stage.name}"
        small |= {f"{path}.max_length": "256"}
        small |= {f"{path}.optimisation.{key}": value for key, value in (("batch_size", "4"), ("epochs", "1"))}
        for name, term in stage.supervision.items():
            term_path = f"{path}.supervision.{name}"
            if isinstance(term.target, CodesSpec):
                small |= {
                    f"{term_path}.target.tokenizer": str(parts / "tokenizer"),
                    f"{term_path}.target.cache": "none",
                }
            else:
                small[f"{term_path}.target.folder"] = str(parts / "targets")
            if isinstance(term.head, DepthTransformerSpec):
                small[f"{term_path}.head.head_width"] = "64"
            small[f"{term_path}.head.width"] = "64"
            small[f"{term_path}.layer"] = str(min(term.layer, 1))
    return derive(recipe, {**small, **changes})
