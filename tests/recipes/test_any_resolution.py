"""The AnyRes rows of Table 3 beside those at 384 pixels; what they train at real size is in test_rows."""

import pytest
from transformers import LlamaConfig, LlavaNextConfig, SiglipVisionConfig

from asvr.derive import flatten
from asvr.models.any_resolution import pinpoints
from asvr.models.grids import image_layout
from asvr.models.visual_input import AnyResInput
from asvr.recipes import RECIPES

STAGES = ("pretrain", "instruct")


@pytest.mark.parametrize("arm", ["llava", "asvr"])
def test_a_row_differs_from_that_at_384_pixels_in_what_crops_need(arm: str) -> None:
    ours, plain = (flatten(RECIPES[f"{arm}-{name}-vicuna-7b"]) for name in ("anyres-next", "next"))
    differing = {key for key in ours.keys() | plain.keys() if ours.get(key) != plain.get(key)}
    stages = {f"stages.{stage}.{field}" for stage in STAGES for field in ("max_length", "trainable")}
    assert differing == {"name", "source", "model.visual_input.tiles", *stages}
    for stage in STAGES:
        added = set(ours[f"stages.{stage}.trainable"]) - set(plain[f"stages.{stage}.trainable"])
        assert added == {"vlm.model.image_newline"}


def test_the_largest_picture_and_a_conversation_of_the_usual_length_fit() -> None:
    recipe = RECIPES["asvr-anyres-next-vicuna-7b"]
    visual_input = recipe.model.visual_input
    assert isinstance(visual_input, AnyResInput)
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlavaNextConfig(
        vision_config=SiglipVisionConfig(**size, image_size=384, patch_size=14),
        text_config=LlamaConfig(**size, vocab_size=8),
        vision_feature_select_strategy="full",
        image_grid_pinpoints=pinpoints(visual_input.tiles, 384),
    )
    filled = [image_layout(config, (height, width)).num_tokens for height, width in config.image_grid_pinpoints]
    # 1152 x 1152: 27 rows of 27, and 81 rows of 81 and an end. 2,048 tokens are LLaVA's limit, picture and text.
    assert max(filled) == 27 * 27 + 81 * 82
    assert all(max(filled) + 2048 <= stage.max_length for stage in recipe.stages)
