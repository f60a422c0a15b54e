import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from asvr.data.dataset import Source
from asvr.recipes import RECIPES
from asvr.training.run import run_recipe
from asvr.training.stage import Machine
from tests.parts import shrink

QUIET = Machine(micro_batch=4, log_every=1, save_every=1, progress=False)


def train(name: str, parts: Path, out: Path, *, machine: Machine = QUIET, **changes: str) -> Path:
    records = parts / "records"
    sources = {stage: [Source(records / f"{file}.json", records / "images")] for stage, file in FILES.items()}
    recipe = shrink(name, parts, **changes)
    companions = [Source(records / "unlabelled.json", records / "images")] if recipe.stages[0].companions else []
    return run_recipe(recipe, out, data=sources, companions=companions, machine=machine)


FILES = {"pretrain": "captions", "instruct": "instruct"}


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_trains_when_shrunk_and_saves_a_stock_model(name: str, parts: Path, tmp_path: Path) -> None:
    folder = train(name, parts, tmp_path / "run")
    model = AutoModelForImageTextToText.from_pretrained(folder / "model")
    processor = AutoProcessor.from_pretrained(folder / "model", backend="pil")
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert processor.chat_template
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    heads = RECIPES[name].stages[1].supervision
    for head in heads:
        assert 0 < lines[0][f"loss_{head}"] < 10
        assert load_file(folder / "heads" / f"{head}.safetensors")
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in lines if "loss" in line)
