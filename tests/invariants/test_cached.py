"""Codes that are read from a store train exactly as codes that are computed."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from asvr.data.pictures import find_pictures
from asvr.models.build import outline_vlm
from asvr.targets.cache import CachedCodes
from asvr.targets.checkpoints import load_tower
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import fingerprint
from asvr.tokenizers.caching import Caching, cache_codes
from asvr.training.check import check_stage
from tests.invariants.batches import build, collate, losses_and_gradients
from tests.parts import shrink
from tests.training.runs import FILES, metrics, model_bytes, train

TARGETS = [f"stages.{stage}.supervision.semantic.target" for stage in FILES]
ONLINE = {f"{target}.own_tower": "false" for target in TARGETS}


@pytest.fixture(scope="module")
def cached(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The changes that make a recipe read its codes from a store."""
    store = tmp_path_factory.mktemp("cached") / "store"
    visual = VisualTokenizer.from_pretrained(parts / "tokenizer")
    images = find_pictures(str(parts / "records" / "images"))
    cache_codes(visual, images, store, Caching(shard_size=3, batch_size=3))
    return {f"{target}.cache": str(store) for target in TARGETS}


@pytest.mark.parametrize("alignment", ["next", "same"])
def test_cached_losses_and_gradients_are_those_of_computed_codes(
    alignment: str, parts: Path, cached: dict[str, str]
) -> None:
    batch = ["q0", "text", "two", "u0", "q3", "u5", "q6", "q1"]
    online, dataset = build(parts, alignment=alignment, **ONLINE)
    assert isinstance(online.supervision["semantic"].target, VisualTokenizer)
    expected, expected_gradients = losses_and_gradients(online, collate(dataset, batch))
    stored, dataset = build(parts, alignment=alignment, **cached)
    assert isinstance(stored.supervision["semantic"].target, CachedCodes)
    ours, gradients = losses_and_gradients(stored, collate(dataset, batch))
    assert ours.keys() == expected.keys() and gradients.keys() == expected_gradients.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    assert all(torch.equal(gradients[name], expected_gradients[name]) for name in expected_gradients)


def test_a_batch_without_images_has_the_same_losses_too(parts: Path, cached: dict[str, str]) -> None:
    online, dataset = build(parts, **ONLINE)
    stored, _ = build(parts, **cached)
    batch = collate(dataset, ["text"])
    expected, ours = online(**batch), stored(**batch)
    assert expected.keys() == ours.keys() and all(torch.equal(ours[name], expected[name]) for name in expected)


def test_codes_that_were_computed_before_are_those_of_the_tower_before_it_trains(
    parts: Path, cached: dict[str, str]
) -> None:
    trainable = {"stages.instruct.trainable": "vlm.model.vision_tower.,supervision."}
    for changes, refused in ((cached, False), ({}, True)):
        recipe = shrink("tiny-asvr", parts, **trainable, **changes)
        vlm, processor = outline_vlm(recipe.model.language_model, recipe.model.vision_tower)
        tower = fingerprint(load_tower(recipe.model.vision_tower))
        expected = pytest.raises(ValueError, match="they would move") if refused else nullcontext()
        with expected:
            check_stage(recipe, recipe.stage("instruct"), vlm, lambda tower=tower: tower, processor)


def test_cached_training_ends_with_the_same_bytes(parts: Path, cached: dict[str, str], tmp_path: Path) -> None:
    train("tiny-asvr", parts, tmp_path / "online", **ONLINE)
    train("tiny-asvr", parts, tmp_path / "cached", **cached)
    for stage in FILES:
        assert metrics(tmp_path / "cached" / stage) == metrics(tmp_path / "online" / stage)
        assert model_bytes(tmp_path / "cached" / stage) == model_bytes(tmp_path / "online" / stage)
