"""The rows of other language models and of adapters: what sets each apart from Table 1's, and nothing else."""

import pytest
from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

from asvr.derive import flatten
from asvr.models.build import empty_vlm
from asvr.objective import Objective
from asvr.recipes import RECIPES
from asvr.recipes.baseline import HEADS, PROJECTOR
from asvr.training.adapter import outline_adapter
from asvr.training.freeze import set_trainable

# Each family's hub name and template; LLaVA-NeXT takes the same Mistral.
BACKBONES = {
    "mistral-7b": ("mistralai/Mistral-7B-Instruct-v0.2", "mistral"),
    "vicuna-13b": ("lmsys/vicuna-13b-v1.5", "vicuna_v1"),
    "qwen2.5-7b": ("Qwen/Qwen2.5-7B-Instruct", "chatml"),
    "qwen3-8b": ("Qwen/Qwen3-8B", "chatml"),
    "llama3-8b": ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3"),
}


def differences(one: str, other: str) -> dict[str, object]:
    before, after = flatten(RECIPES[one]), flatten(RECIPES[other])
    fields = {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}
    return {key: value for key, value in fields.items() if key not in ("name", "source")}


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("arm", ["llava", "asvr"])
def test_a_backbone_s_row_differs_in_the_language_model_and_its_template(arm: str, name: str) -> None:
    language_model, template = BACKBONES[name]
    expected = {"model.language_model": language_model}
    if template != "vicuna_v1":
        expected["stages.instruct.template"] = template
    assert differences(f"{arm}-vicuna-7b", f"{arm}-{name}") == expected
    assert "Table 2" in RECIPES[f"{arm}-{name}"].source


def test_lora_differs_in_how_the_language_model_is_tuned() -> None:
    stage = "stages.instruct"
    # LLaVA-1.5's finetune_lora.sh: rank 128, alpha 256, 2e-4, projector 2e-5; peft's dropout there is 0.05.
    assert differences("asvr-vicuna-7b", "asvr-vicuna-7b-lora") == {
        f"{stage}.trainable": (PROJECTOR, HEADS),
        f"{stage}.adapter.rank": 128,
        f"{stage}.adapter.alpha": 256,
        f"{stage}.adapter.dropout": 0.05,
        f"{stage}.adapter.base": "whole",
        f"{stage}.optimisation.learning_rate": 2e-4,
        f"{stage}.optimisation.groups": None,
        f"{stage}.optimisation.groups.projector.name": "projector",
        f"{stage}.optimisation.groups.projector.prefix": PROJECTOR,
        f"{stage}.optimisation.groups.projector.learning_rate": 2e-5,
        f"{stage}.optimisation.groups.heads.name": "heads",
        f"{stage}.optimisation.groups.heads.prefix": HEADS,
        f"{stage}.optimisation.groups.heads.learning_rate": 2e-5,
    }
    lora, qlora = RECIPES["asvr-vicuna-7b-lora"], RECIPES["asvr-vicuna-7b-qlora"]
    assert differences(lora.name, qlora.name) == {f"{stage}.adapter.base": "nf4"}
    assert lora.stages[0] == RECIPES["asvr-vicuna-7b"].stages[0]


def test_lora_trains_320_million_parameters_of_vicuna_7b() -> None:
    # In each of 32 blocks four layers of 4096 x 4096 and three of 4096 x 11008, each with 128 rows and 128 columns.
    block = 128 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert 32 * block == 319_815_680
    tower = SiglipVisionConfig(hidden_size=1152, num_attention_heads=16, num_hidden_layers=1)
    outline = empty_vlm(LlavaConfig(text_config=LlamaConfig(num_hidden_layers=2), vision_config=tower))
    adapted = outline_adapter(outline, RECIPES["asvr-vicuna-7b-lora"].stages[1].adapter)
    counts = set_trainable(Objective(adapted, {}), [PROJECTOR])
    assert counts == {PROJECTOR: 1152 * 4096 + 4096 + 4096 * 4096 + 4096, "adapter": 2 * block}
