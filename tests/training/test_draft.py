import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, Siglip2ImageProcessorPil, SiglipImageProcessorPil

from asvr.data.conversation import Conversation
from asvr.models.visual_input import AnyResInput
from asvr.recipes.spec import Recipe
from asvr.targets.naflex import NaFlexPreparer
from asvr.targets.own_tower import nothing
from asvr.targets.preparing import ImagePreparer
from asvr.training.draft import draft_size
from asvr.training.prepare import build_dataset
from asvr.training.stage import build_objective
from tests.parts import shrink


def siglip(height: int, width: int) -> SiglipImageProcessorPil:
    return SiglipImageProcessorPil(size={"height": height, "width": width})


def drafting(parts: Path, draft: str) -> Recipe:
    return shrink("tiny-asvr", parts, **{"stages.instruct.draft": draft})


def test_a_draft_is_enough_for_all_that_look_at_it() -> None:
    assert draft_size(None, siglip(30, 20), []) is None
    assert draft_size(1.0, siglip(30, 20), [nothing]) == (30, 20)
    # Resized to a shorter side of 24 before a crop of 22 is cut out, so both sides have 24 at least.
    clip = ImagePreparer(CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 22, "width": 22}))
    assert draft_size(1.0, siglip(30, 20), [clip]) == (30, 24)
    assert draft_size(1.5, siglip(31, 20), [ImagePreparer(siglip(10, 40))]) == (47, 60)


def test_a_size_that_depends_on_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Siglip2ImageProcessorPil resizes pictures to no one size.*set draft=none"):
        draft_size(1.0, siglip(30, 20), [NaFlexPreparer(Siglip2ImageProcessorPil())])


def test_a_stage_reads_photographs_as_drafts(parts: Path, tmp_path: Path) -> None:
    recipe = drafting(parts, "2")
    stage = recipe.stage("instruct")
    objective, processor = build_objective(recipe, stage, None, seed=0)
    side = processor.image_processor.size["height"]
    Image.effect_noise((9 * side, 8 * side), 50).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    one = Conversation("a", (str(tmp_path / "a.jpg"),), ())
    pixels = []
    for given in (stage, replace(stage, draft=None)):
        data = build_dataset(given, objective, processor, conversations=[one], companions=[], seed=0)
        pixels.append(data[0][0].images[0].inputs["pixel_values"])
        assert data.images.at_least == (None if given.draft is None else (2 * side, 2 * side))
    with Image.open(tmp_path / "a.jpg") as image:
        image.draft("RGB", (2 * side, 2 * side))
        assert image.size == (math.ceil(9 * side / 4), 2 * side)
        assert torch.equal(pixels[0], processor.image_processor(image, return_tensors="pt")["pixel_values"][0])
    assert not torch.equal(pixels[0], pixels[1])


@pytest.mark.parametrize("draft", ["0.5", "nan", "inf"])
def test_a_draft_smaller_than_needed_is_refused(draft: str, parts: Path) -> None:
    with pytest.raises(ValueError, match=f"stage 'instruct' has draft {draft}: it must be 1 or more"):
        drafting(parts, draft)


def test_cached_codes_of_whole_pictures_are_refused(parts: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("the cache codes/ holds codes of pictures decoded in full")):
        shrink(
            "tiny-asvr",
            parts,
            **{"stages.instruct.supervision.semantic.target.cache": "codes/", "stages.instruct.draft": "1"},
        )


def test_pictures_cut_into_tiles_are_refused(parts: Path) -> None:
    recipe = drafting(parts, "1")
    with pytest.raises(ValueError, match="stage 'instruct' decodes pictures at a smaller size, but AnyResInput"):
        replace(recipe, model=replace(recipe.model, visual_input=AnyResInput(tiles=("1x2", "2x1"))))
