"""Targets read off the model's own tower are those of a second tower, to the last bit."""

from pathlib import Path

import pytest
import torch
from transformers import SiglipImageProcessorPil

from asvr.objective import Objective
from asvr.targets.own_tower import OwnTowerCodes
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from tests.invariants.batches import build, collate, losses_and_gradients
from tests.training.runs import train

STAGES = ("pretrain", "instruct")
TARGET = "stages.instruct.supervision.semantic.target"
IDS = ["q0", "two", "text", "u3"]


def towers(objective: Objective) -> int:
    return sum(isinstance(module, TowerFeatures) for module in objective.modules())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("alignment", ["next", "same"])
def test_one_tower_gives_the_losses_and_gradients_of_two(alignment: str, precision: str, parts: Path) -> None:
    """In bf16 a second tower runs in bf16 as well, so that the codes are the same."""
    own, dataset = build(parts, alignment=alignment)
    two, second = build(parts, alignment=alignment, **{f"{TARGET}.own_tower": "false"})
    assert (towers(own), towers(two)) == (0, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        losses, gradients = losses_and_gradients(own, collate(dataset, IDS))
        expected, theirs = losses_and_gradients(two, collate(second, IDS))
    assert losses.keys() == expected.keys() and all(torch.equal(losses[name], expected[name]) for name in losses)
    assert gradients.keys() == theirs.keys() and all(torch.equal(gradients[name], theirs[name]) for name in theirs)


def test_another_grid_is_resampled_only_where_that_is_asked_for(parts: Path, tmp_path: Path) -> None:
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer", grid=(1, 1))
    tokenizer.save_pretrained(tmp_path / "coarse")
    coarse = {f"{TARGET}.tokenizer": str(tmp_path / "coarse")}
    with pytest.raises(ValueError, match=r"grid \(1, 1\), but an image has \(2, 2\) .*target.resample=true"):
        build(parts, **coarse)
    objective, dataset = build(parts, **coarse, **{f"{TARGET}.resample": "true"})
    _, term = next(objective.terms())
    assert isinstance(term.target, OwnTowerCodes) and term.target.grid == (2, 2)
    plain, same = build(parts)
    ours, _ = losses_and_gradients(objective, collate(dataset, IDS))
    theirs, _ = losses_and_gradients(plain, collate(same, IDS))
    assert torch.equal(ours["loss"], theirs["loss"])


def test_pictures_prepared_otherwise_are_refused(parts: Path, tmp_path: Path) -> None:
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    tokenizer.save_pretrained(tmp_path / "other")
    processor = SiglipImageProcessorPil.from_pretrained(parts / "tower", image_mean=[0.4, 0.5, 0.5])
    tokenizer.features.processor = processor
    tokenizer.save_pretrained(tmp_path / "other")
    changes = {f"stages.{stage}.supervision.semantic.target.tokenizer": str(tmp_path / "other") for stage in STAGES}
    with pytest.raises(ValueError, match=r"otherwise than the model.s, image_mean differ.*own_tower=false"):
        train("tiny-asvr", parts, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_tower_that_trains_is_no_target(parts: Path, tmp_path: Path) -> None:
    trainable = "vlm.model.multi_modal_projector.,vlm.model.vision_tower.,supervision."
    with pytest.raises(ValueError, match="trains the vision tower whose features are the targets of semantic"):
        train("tiny-asvr", parts, tmp_path / "run", **{"stages.pretrain.trainable": trainable})
