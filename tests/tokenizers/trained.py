"""A tiny SigLIP with its text tower, captioned pictures, and a recipe with every loss there is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessorPil, SiglipModel

from asvr.data.pictures import Pictures, find_pictures
from asvr.derive import derive
from asvr.tokenizer_training.loop import Layout
from asvr.tokenizer_training.run import train_tokenizer
from asvr.tokenizer_training.spec import (
    AdversarialSpec,
    AppearanceSpec,
    DecoderSpec,
    PerceptualSpec,
    QuantizerSpec,
    SemanticSpec,
    TokenizerOptimisation,
    TokenizerRecipe,
)
from tests.parts import talk

SIDE, PATCH = 16, 4
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 200), "white": (240, 240, 240)}


def write_siglip(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(tokenizer), "max_position_embeddings": 12, "projection_size": 32}
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": None}
    vision = {**sizes, "image_size": SIDE, "patch_size": PATCH}
    config = SiglipConfig(text_config={**text, **ids}, vision_config=vision)
    model = SiglipModel(config)
    with torch.no_grad():
        # Random features of different pictures hardly differ; these do.
        model.vision_model.embeddings.patch_embedding.weight.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def write_pictures(folder: Path, count: int = 20) -> Path:
    """Mottled halves of two colours, each with a caption; gives the records, beside `images`."""
    (folder / "images").mkdir(parents=True)
    names, records, noise = list(COLOURS), [], np.random.default_rng(0)
    for index in range(count):
        left, right = names[index % 4], names[index // 4 % 4]
        # Patches that differ: norms make much of the rounding of flat maps.
        shade = np.kron(noise.uniform(0.3, 1, (8, 8, 1)), np.ones((5, 5, 1)))
        pixels = np.full((40, 40, 3), COLOURS[left])
        pixels[:, 4 + 2 * (index % 9) :] = COLOURS[right]
        pixels = pixels * shade + noise.integers(-20, 20, pixels.shape)
        Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(folder / "images" / f"{index}.png")
        caption = f"a {left} box and a {right} one"
        records.append(talk(f"p{index}", "<image>\nDescribe.", caption, image=f"{index}.png"))
    (folder / "records.json").write_text(json.dumps(records))
    return folder / "records.json"


def pictures(records: Path) -> Pictures:
    return find_pictures(str(records), records.parent / "images")


QUANTIZER = QuantizerSpec(depth=2, num_codes=8, width=16, decay=0.9)


def everything(siglip: Path, **changes: str) -> TokenizerRecipe:
    """A recipe with both branches and all losses on a tower that moves."""
    recipe = TokenizerRecipe(
        name="everything",
        source="tests",
        data="two colours",
        tower=str(siglip),
        semantic=SemanticSpec(quantizer=QUANTIZER, contrastive_weight=1.0),
        appearance=AppearanceSpec(
            layers=(2, 1),
            quantizer=replace(QUANTIZER, shared=False),
            decoder=DecoderSpec(
                width=32, latent=4, latent_channels=32, level_channels=(32, 32, 32), blocks=1, attention_levels=(2,)
            ),
            perceptual=PerceptualSpec(backbone=str(siglip), layers=(0, 1)),
            adversarial=AdversarialSpec(start=2, channels=4, levels=2),
        ),
        optimisation=TokenizerOptimisation(batch_size=8, steps=6, learning_rate=2e-3, warmup_steps=2),
        crop=0.8,
        precision="fp32",
    )
    return derive(recipe, changes)


def train(recipe: TokenizerRecipe, records: Path, out: Path, **options: Any) -> dict[str, Any]:
    layout = Layout(**{"micro_batch": 8, "log_every": 1, "save_every": 3, **options.pop("layout", {})})
    return train_tokenizer(recipe, pictures(records), out, seed=3, layout=layout, **options)


SHORT = {"optimisation.learning_rate": "1e-9"}
"""Changes of a recipe whose steps move codebooks only: Adam makes steps of full length out of rounding."""


class Interrupted(Exception):
    """Raised where a run is cut short on purpose."""


def stop_at(step: int) -> Callable[[str, int, int], None]:
    def stop(what: str, done: int, total: int) -> None:
        if (what, done) == ("steps", step):
            raise Interrupted

    return stop


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def tensors(out: Path) -> dict[str, torch.Tensor]:
    """Every weight of a finished run."""
    from safetensors.torch import load_file

    found = {}
    for file in sorted(out.rglob("*.safetensors")):
        found |= {f"{file.relative_to(out)}:{name}": value for name, value in load_file(file).items()}
    return found
