import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    Dinov2Config,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PretrainedConfig,
    SiglipVisionConfig,
)

from asvr.models.grids import visual_grid

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def _config(tower: PretrainedConfig, strategy: str) -> LlavaConfig:
    return LlavaConfig(
        vision_config=tower,
        text_config=LlamaConfig(**SIZE, vocab_size=8),
        image_token_id=7,
        vision_feature_select_strategy=strategy,
    )


@pytest.mark.parametrize(
    ("tower", "strategy", "grid"),
    [
        (SiglipVisionConfig(**SIZE, image_size=24, patch_size=12), "full", (2, 2)),
        # Patches that do not fill the image: the remainder is not seen.
        (SiglipVisionConfig(**SIZE, image_size=30, patch_size=8), "full", (3, 3)),
        (CLIPVisionConfig(**SIZE, image_size=24, patch_size=8), "default", (3, 3)),
    ],
)
def test_the_grid_has_as_many_tokens_as_the_model_gives(
    tower: SiglipVisionConfig | CLIPVisionConfig, strategy: str, grid: tuple[int, int]
):
    config = _config(tower, strategy)
    model = LlavaForConditionalGeneration(config)
    features = model.model.get_image_features(torch.zeros(1, 3, tower.image_size, tower.image_size)).pooler_output
    assert visual_grid(config) == grid
    assert len(features[0]) == grid[0] * grid[1]


def test_the_papers_tower_has_27_rows_of_27():
    # SigLIP-SO400M at 384 pixels with patches of 14: 729 tokens, as the paper says.
    assert visual_grid(_config(SiglipVisionConfig(image_size=384, patch_size=14), "full")) == (27, 27)


@pytest.mark.parametrize(("tower", "strategy"), [(SiglipVisionConfig(), "default"), (CLIPVisionConfig(), "full")])
def test_what_is_not_a_grid_is_refused(tower: PretrainedConfig, strategy: str):
    with pytest.raises(ValueError, match=r"token beside its grid. Use 'full' with a SigLIP tower"):
        visual_grid(_config(tower, strategy))


def test_unknown_models_and_towers_are_refused():
    with pytest.raises(ValueError, match="'llama' model cannot be counted"):
        visual_grid(LlamaConfig())
    with pytest.raises(ValueError, match=r"of a Dinov2Config cannot be counted. Use .* 'siglip_vision_model'"):
        visual_grid(_config(Dinov2Config(), "full"))
