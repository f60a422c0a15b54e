"""The paper's rows at their real size, without weights, and the hyper-parameters they name."""

from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipVisionModel,
)

from asvr.models.build import outline_vlm
from asvr.models.grids import visual_grid
from asvr.models.visual_input import AnyResInput
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CodesSpec
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.training.check import check_stage

REAL = [
    recipe
    for recipe in RECIPES.values()
    # Those with an adapter are in test_language_models, those of AnyRes input in test_any_resolution.
    if recipe.model.language_model == "lmsys/vicuna-7b-v1.5"
    and recipe.stages[-1].adapter is None
    and not isinstance(recipe.model.visual_input, AnyResInput)
]
SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
PROJECTOR = 1152 * 4096 + 4096 + 4096 * 4096 + 4096
CLASSIFIER = 32_000 * 4096
LLAMA_7B = 6_738_415_616 - CLASSIFIER
HEAD = 723_970_048 - 18_432 + 4096 * 2048 + 2048 + 2048 * 2048 + 2048
"""As in tests/heads, with its projector."""


@pytest.fixture
def real_size(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """Folders with the configurations of the paper's models, and no weights. Llama's defaults are Vicuna-7B's."""
    LlamaConfig().save_pretrained(tmp_path / "vicuna")
    tokenizer.save_pretrained(tmp_path / "vicuna")
    SiglipConfig(vision_config=SO400M).save_pretrained(tmp_path / "siglip")
    SiglipImageProcessorPil(size={"height": 384, "width": 384}).save_pretrained(tmp_path / "siglip")
    return str(tmp_path / "vicuna"), str(tmp_path / "siglip")


# Every row, from the shapes of its published parts, is in test_rows; here those of one head through the training's own
# check.
PLAIN = ("llava-vicuna-7b", "asvr-vicuna-7b", "asvr-vicuna-7b-same", "llava-next-vicuna-7b", "asvr-next-vicuna-7b")


@pytest.mark.parametrize("recipe", [RECIPES[name] for name in PLAIN], ids=lambda recipe: recipe.name)
def test_a_row_trains_what_the_paper_trains(
    recipe: Recipe, real_size: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm, processor = outline_vlm(*real_size)
    assert visual_grid(vlm.config) == (27, 27) and processor.patch_size == 14
    with torch.device("meta"):
        features = TowerFeatures(SiglipVisionModel(vlm.config.vision_config), processor.image_processor)
        target = VisualTokenizer(features, ResidualQuantizer(torch.zeros(8, 16384, 1152)))
    monkeypatch.setattr(CodesSpec, "load", lambda *_: target)
    # Weights that are not there have no hash, so that the tokenizer's tower is said to be the model's own.
    monkeypatch.setattr(VisualTokenizer, "tower_sha256", "own")
    pretrain, *later = (check_stage(recipe, stage, vlm, lambda: "own", processor) for stage in recipe.stages)
    heads = {"supervision.": HEAD} if recipe.stages[0].supervision else {}
    assert pretrain == {"vlm.model.multi_modal_projector.": PROJECTOR, **heads}
    whole = {
        "vlm.model.multi_modal_projector.": PROJECTOR,
        "vlm.model.language_model.": LLAMA_7B,
        "vlm.lm_head.": CLASSIFIER,
        **heads,
    }
    assert later and all(trained == whole for trained in later)
    assert not any(parameter.requires_grad for parameter in vlm.model.vision_tower.parameters())


@pytest.mark.parametrize("recipe", [one for one in REAL if len(one.stages) == 2], ids=lambda recipe: recipe.name)
def test_a_row_has_the_paper_s_hyper_parameters(recipe: Recipe) -> None:
    """Those with a stage more are in test_data_scale."""
    pretrain, instruct = recipe.stages
    assert (pretrain.name, instruct.name) == ("pretrain", "instruct")
    assert (pretrain.template, instruct.template) == ("plain", "vicuna_v1")
    # LLaVA-1.5's: 256 at 1e-3, then 128 at 2e-5; the paper keeps them.
    assert (pretrain.optimisation.batch_size, pretrain.optimisation.learning_rate) == (256, 1e-3)
    assert (instruct.optimisation.batch_size, instruct.optimisation.learning_rate) == (128, 2e-5)
    for stage in recipe.stages:
        optimisation = stage.optimisation
        assert (optimisation.epochs, optimisation.warmup_ratio, optimisation.weight_decay) == (1.0, 0.03, 0.0)
        assert (stage.max_length, stage.gradient_checkpointing) == (2048, True)
    assert recipe.precision == "bf16" and recipe.model.feature_layer == -2


def test_every_recipe_is_listed_under_its_own_name_with_its_source() -> None:
    assert all(name == recipe.name and recipe.source for name, recipe in RECIPES.items())
    defaults = RECIPES["asvr-vicuna-7b"].stages[0].supervision["semantic"]
    assert (defaults.weight, defaults.head.width, defaults.head.num_layers) == (1.0, 2048, 3)
    assert RECIPES["asvr-vicuna-7b"].alignment == "next" and RECIPES["asvr-vicuna-7b-same"].alignment == "same"


def test_arms_differ_in_nothing_but_the_visual_loss() -> None:
    for text_only, asvr in (("llava-vicuna-7b", "asvr-vicuna-7b"), ("tiny-llava", "tiny-asvr")):
        one, other = RECIPES[text_only], RECIPES[asvr]
        assert (one.model, one.precision) == (other.model, other.precision)
        for ours, theirs in zip(one.stages, other.stages, strict=True):
            assert (ours.optimisation, ours.max_length, ours.template) == (
                theirs.optimisation,
                theirs.max_length,
                theirs.template,
            )
            assert theirs.trainable == (*ours.trainable, "supervision.") and not ours.supervision


def test_a_clip_tower_loses_its_class_token(tmp_path: Path, real_size: tuple[str, str]) -> None:
    # CLIP-L/14 at 336: 24 x 24 visual tokens, as LLaVA-1.5.
    CLIPVisionConfig(image_size=336, patch_size=14, num_hidden_layers=2).save_pretrained(tmp_path / "clip")
    CLIPImageProcessorPil(size={"shortest_edge": 336}).save_pretrained(tmp_path / "clip")
    vlm, processor = outline_vlm(real_size[0], str(tmp_path / "clip"))
    assert visual_grid(vlm.config) == (24, 24)
    assert vlm.config.vision_feature_select_strategy == processor.vision_feature_select_strategy == "default"


def test_a_stage_is_found_by_its_name() -> None:
    recipe = RECIPES["tiny-asvr"]
    assert recipe.stage("instruct") is recipe.stages[1]
    with pytest.raises(ValueError, match="no stage 'third': choose one of pretrain, instruct"):
        recipe.stage("third")
