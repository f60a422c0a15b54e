"""Published shapes have their published sizes, and an outline is the model that training builds."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, MistralConfig, MistralForCausalLM

from asvr.models.build import build_vlm
from asvr.models.published import LANGUAGE_MODELS, TOWERS, grown
from asvr.models.visual_input import AnyResInput, DiscreteInput, MultiScaleInput
from asvr.planning.nominal import outline_target
from asvr.planning.outline import outline
from asvr.recipes.spec import ModelSpec
from asvr.recipes.supervision import CodesSpec, FeaturesSpec
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.tokenizer import VisualTokenizer

# "Model size" of each hub page, and of the safetensors index of its files.
PARAMETERS = {
    "lmsys/vicuna-7b-v1.5": 6_738_415_616,
    "lmsys/vicuna-13b-v1.5": 13_015_864_320,
    "mistralai/Mistral-7B-Instruct-v0.2": 7_241_732_096,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "meta-llama/Meta-Llama-3-8B-Instruct": 8_030_261_248,
}
TOWER_PARAMETERS = {
    # The paper's SigLIP: 428M.
    "google/siglip-so400m-patch14-384": 428_225_600,
    "google/siglip2-so400m-patch14-384": 428_225_600,
    # 303M, 86.6M and 304M on their pages.
    "facebook/dinov3-vitl16-pretrain-lvd1689m": 303_129_600,
    "facebook/dinov2-base": 86_580_480,
    "facebook/dinov2-large": 304_368_640,
    "LiheYoung/depth-anything-large-hf": 304_368_640,
}
BASELINE = ModelSpec(language_model="lmsys/vicuna-7b-v1.5", vision_tower="google/siglip-so400m-patch14-384")


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_a_language_model_has_as_many_parameters_as_published() -> None:
    assert LANGUAGE_MODELS.keys() == PARAMETERS.keys()
    for name, published in LANGUAGE_MODELS.items():
        with torch.device("meta"):
            assert count(AutoModelForCausalLM.from_config(published.config)) == PARAMETERS[name], name


def test_a_tower_has_as_many_parameters_as_published() -> None:
    assert TOWERS.keys() == TOWER_PARAMETERS.keys()
    for name, config in TOWERS.items():
        with torch.device("meta"):
            assert count(AutoModel.from_config(config)) == TOWER_PARAMETERS[name], name


def test_embeddings_grow_as_transformers_lets_them() -> None:
    # Vicuna has 32,000 rows and gets <image>; Qwen2.5 has 152,064 rows for 151,666 ids.
    assert grown(32_000, 32_001) == 32_064 and grown(152_064, 151_666) == 152_064 and grown(64, 64) == 64
    published = LANGUAGE_MODELS["mistralai/Mistral-7B-Instruct-v0.2"]
    model = MistralForCausalLM(MistralConfig(**{**published.config.to_dict(), **TINY}))
    model.resize_token_embeddings(published.num_tokens, pad_to_multiple_of=64)
    assert model.lm_head.weight.shape[0] == published.rows


TINY = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 4} | {
    "num_key_value_heads": 2
}


@pytest.mark.parametrize(
    "visual_input",
    [None, MultiScaleInput(scales=(1, 2)), AnyResInput(tiles=("1x2", "2x1")), "discrete"],
    ids=["continuous", "S2", "AnyRes", "discrete"],
)
def test_an_outline_has_the_names_and_shapes_of_the_model_that_is_built(visual_input: object, parts: Path) -> None:
    spec = ModelSpec(language_model=str(parts / "language_model"), vision_tower=str(parts / "tower"))
    if visual_input is not None:
        chosen = DiscreteInput(tokenizer=str(parts / "tokenizer")) if visual_input == "discrete" else visual_input
        spec = replace(spec, visual_input=chosen)  # type: ignore[arg-type]
    built, _ = build_vlm(spec.language_model, spec.vision_tower, seed=0, visual_input=spec.visual_input)
    outlined = outline(spec)
    assert type(outlined) is type(built)
    shapes = {name: value.shape for name, value in built.state_dict().items()}
    assert {name: value.shape for name, value in outlined.state_dict().items()} == shapes
    assert all(parameter.is_meta for parameter in outlined.parameters())


def test_real_inputs_widen_the_projector_and_nothing_else() -> None:
    plain = outline(BASELINE)
    s2 = outline(replace(BASELINE, visual_input=MultiScaleInput(scales=(1, 2, 3))))
    # Two more scales, each 1152 wide, into a projector 4096 wide.
    assert count(s2) - count(plain) == 2 * 1152 * 4096
    anyres = outline(replace(BASELINE, visual_input=AnyResInput(tiles=("1x2", "2x1", "3x3"))))
    assert count(anyres) - count(plain) == 4096 and anyres.get_parameter("model.image_newline").numel() == 4096
    discrete = outline(replace(BASELINE, visual_input=DiscreteInput(tokenizer="tokenizers/siglip-so400m")))
    assert count(discrete) == count(plain)


def test_what_is_not_known_is_refused_with_its_remedy() -> None:
    with pytest.raises(ValueError, match=r"model\.language_model: the shape of 'mine/llama' is not known here.*folder"):
        outline(replace(BASELINE, language_model="mine/llama"))
    with pytest.raises(ValueError, match=r"model\.vision_tower: the shape of 'mine/tower' is not known here"):
        outline(replace(BASELINE, vision_tower="mine/tower"))
    with pytest.raises(ValueError, match="there is no folder tokenizers/mine, and no shape is known"):
        outline_target(CodesSpec(tokenizer="tokenizers/mine"), outline(BASELINE))


def test_targets_have_the_shapes_that_their_names_stand_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folders of these names may lie beside the tests of one who uses the package.
    monkeypatch.chdir(tmp_path)
    vlm = outline(BASELINE)
    for folder, width in {"siglip-so400m": 1152, "appearance": 1152, "dinov3": 1024, "depth-anything": 1024}.items():
        target = outline_target(CodesSpec(tokenizer=f"tokenizers/{folder}"), vlm)
        assert isinstance(target, VisualTokenizer) and target.grid == (27, 27)
        assert target.quantizer.codebooks.shape == (8, 16_384, width) and target.quantizer.codebooks.is_meta
    for folder, width in {"vae": 64, "siglip": 1152, "dinov2": 768}.items():
        target = outline_target(FeaturesSpec(folder=f"targets/{folder}"), vlm)
        assert isinstance(target, ContinuousTargets) and (target.grid, target.channels) == ((27, 27), width)


def test_the_autoencoder_has_as_many_parameters_as_flux_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = outline_target(FeaturesSpec(folder="targets/vae"), outline(BASELINE))
    # diffusers' own count of black-forest-labs/FLUX.1-dev, vae.
    assert count(target.features) == 83_819_683  # type: ignore[attr-defined]


def test_a_folder_is_read_as_it_is(parts: Path) -> None:
    spec = ModelSpec(language_model=str(parts / "language_model"), vision_tower=str(parts / "tower"))
    target = outline_target(CodesSpec(tokenizer=str(parts / "tokenizer")), outline(spec))
    assert isinstance(target, VisualTokenizer) and target.quantizer.codebooks.shape == (3, 8, 32)
