import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForDepthEstimation,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Siglip2VisionModel,
    SiglipVisionModel,
)

from asvr.targets.checkpoints import load_tower, load_tower_config, load_tower_processor, resolve
from tests.targets.checkpoints import write_checkpoint

HALVES = {"siglip": SiglipVisionModel, "siglip2-naflex": Siglip2VisionModel, "clip": CLIPVisionModel}


@contextmanager
def told() -> Iterator[list[str]]:
    """Keeps what transformers says to a user who has changed nothing."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, before = Keep(), transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_warning()
    # What it says once it may have said to an earlier test.
    transformers.logging.warning_once.cache_clear()
    transformers.logging.add_handler(handler)
    yield messages
    assert transformers.logging.get_verbosity() == logging.WARNING
    transformers.logging.remove_handler(handler)
    transformers.logging.set_verbosity(before)


@pytest.mark.parametrize("kind", HALVES)
def test_of_a_pair_of_towers_the_vision_half_is_taken_in_silence(kind: str, tmp_path: Path) -> None:
    folder = write_checkpoint(kind, tmp_path)
    with told() as messages:
        tower = load_tower(str(folder))
    assert messages == []
    assert type(tower) is HALVES[kind] and type(load_tower_config(str(folder))) is type(tower.config)
    whole = AutoModel.from_pretrained(folder).vision_model.state_dict()
    own = {name.removeprefix("vision_model."): value for name, value in tower.state_dict().items()}
    assert own.keys() == {name.removeprefix("vision_model.") for name in whole}
    assert all(torch.equal(own[name.removeprefix("vision_model.")], value) for name, value in whole.items())


def test_the_encoder_of_depth_anything_is_a_stock_dinov2(tmp_path: Path) -> None:
    folder = write_checkpoint("depth-anything", tmp_path / "whole")
    with told() as messages:
        tower = load_tower(str(folder))
    assert messages == []
    tower.save_pretrained(tmp_path / "tower")
    again = AutoModel.from_pretrained(tmp_path / "tower")
    assert type(tower) is type(again) is Dinov2Model and isinstance(load_tower_config(str(folder)), Dinov2Config)
    backbone = AutoModelForDepthEstimation.from_pretrained(folder).backbone.state_dict()
    assert backbone.keys() == again.state_dict().keys()
    assert all(torch.equal(value, backbone[name]) for name, value in again.state_dict().items())
    assert not tower.training


def test_missing_weights_are_an_error_not_drawn_at_random(tmp_path: Path) -> None:
    folder = write_checkpoint("dinov2", tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weight\(s\) of a Dinov2Model, such as layernorm.weight: download"):
        load_tower(str(folder))


def test_weights_are_fp32_whatever_was_published(tmp_path: Path) -> None:
    folder = write_checkpoint("dinov2", tmp_path)
    Dinov2Model.from_pretrained(folder).bfloat16().save_pretrained(folder)
    assert load_tower(str(folder)).dtype == torch.float32


def test_names(tmp_path: Path) -> None:
    assert resolve("owner/name") == "owner/name" and resolve(str(tmp_path)) == str(tmp_path)
    assert load_tower_config("embedded:tower").model_type == "siglip_vision_model"
    assert type(load_tower_processor("embedded:tower")).__name__ == "SiglipImageProcessorPil"
    with pytest.raises(FileNotFoundError, match=r"no model folder \./absent: give an existing folder, or a"):
        resolve("./absent")
