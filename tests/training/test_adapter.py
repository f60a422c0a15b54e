"""Low-rank adapters: what trains, that they merge into the model that was trained, and that they resume."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, inject_adapter_in_model
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration

from asvr.derive import derive
from asvr.recipes import RECIPES
from asvr.recipes.optimisation import LoraSpec
from asvr.training.adapter import adapted_layers, adapter_parameters, add_adapter, merge_adapter, outline_adapter
from asvr.training.freeze import set_trainable
from asvr.training.prepare import load_vlm
from asvr.training.run import run_recipe
from asvr.training.stage import build_objective
from asvr.training.trainer import StageTrainer
from tests.invariants.batches import build, collate
from tests.parts import shrink
from tests.training.runs import QUIET, metrics, model_bytes, sources

LORA, QLORA = "asvr-vicuna-7b-lora", "asvr-vicuna-7b-qlora"
BASES = ("whole", "nf4")
SMALL = {"stages.instruct.adapter.rank": "4", "stages.instruct.adapter.alpha": "8"}
# Four attention matrices of 32 x 32 and three of 32 x 64 in each of two blocks: 4 rows and 4 columns for each.
NUM_ADAPTER = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))


def trained(name: str, parts: Path, out: Path) -> Path:
    """Runs the second stage alone; it has three steps."""
    recipe = shrink(name, parts, **SMALL)
    # In bf16 the four bits go through autocast, as they do at real size.
    recipe = replace(recipe, stages=recipe.stages[1:], precision="bf16" if name == QLORA else "fp32")
    return run_recipe(recipe, out, data=sources(parts / "records"), machine=QUIET)


@pytest.fixture(scope="module")
def runs(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished stages of both recipes."""
    folder = tmp_path_factory.mktemp("adapter")
    return {name: trained(name, parts, folder / name) for name in (LORA, QLORA)}


def fresh(parts: Path) -> LlavaForConditionalGeneration:
    """The model that they began with."""
    vlm, _ = load_vlm(shrink(LORA, parts), None, seed=0)
    assert isinstance(vlm, LlavaForConditionalGeneration)
    return vlm


def disturb(vlm: nn.Module) -> None:
    """Gives an untrained adapter, whose output is zero, something to say."""
    torch.manual_seed(5)
    for parameter in adapter_parameters(vlm):
        nn.init.normal_(parameter, std=0.1)


def logits(vlm: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return vlm.eval()(input_ids=torch.arange(40)[None]).logits


@pytest.mark.parametrize("base", BASES)
def test_merged_is_adapted_in_stock_classes(base: str, parts: Path) -> None:
    vlm = fresh(parts)
    kinds = {name: type(module) for name, module in vlm.named_modules()}
    spec = LoraSpec(rank=4, alpha=8, base=base)
    untouched = logits(vlm)
    add_adapter(vlm, spec, seed=0)
    assert type(vlm) is LlavaForConditionalGeneration
    if base == "whole":
        # The second factor is zero at first (arXiv 2106.09685, section 4.1).
        assert torch.equal(logits(vlm), untouched)
    disturb(vlm)
    adapted = logits(vlm)
    assert (adapted - untouched).abs().max() > 0.05 * untouched.std()
    # 3e-5: dot products of 64 terms in fp32, through two blocks, are off by a few 1e-6 of their spread.
    assert merge_adapter(vlm, spec) < 3e-5
    torch.testing.assert_close(logits(vlm), adapted, rtol=0, atol=3e-5 * float(adapted.std()))
    assert {name: type(module) for name, module in vlm.named_modules()} == kinds


def test_merging_is_base_plus_scaled_product(parts: Path) -> None:
    vlm = fresh(parts)
    before = {name: value.clone() for name, value in vlm.state_dict().items()}
    spec = LoraSpec(rank=4, alpha=8)
    add_adapter(vlm, spec, seed=0)
    disturb(vlm)
    # alpha / rank = 2 times B A.
    products = {
        f"model.language_model.{name}.weight": 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        for name, layer in adapted_layers(vlm.model.language_model)
    }
    merge_adapter(vlm, spec)
    for name, value in vlm.state_dict().items():
        torch.testing.assert_close(value, before[name] + products.get(name, 0), rtol=1e-5, atol=1e-7)
    assert len(products) == 14


def test_a_merge_that_is_not_the_model_that_was_trained_is_refused(parts: Path) -> None:
    vlm = fresh(parts)
    language_model = vlm.model.language_model
    # DoRA scales each column as well, and what is merged here is the product alone.
    dora = LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=["q_proj", "v_proj"])
    inject_adapter_in_model(dora, language_model)
    disturb(vlm)
    with pytest.raises(ValueError, match=r"merging the adapter changes logits by .* no merged model is saved"):
        merge_adapter(vlm, LoraSpec(rank=4, alpha=8))


@pytest.mark.parametrize("name", [LORA, QLORA])
def test_a_run_trains_the_adapter_and_saves_a_stock_model(name: str, runs: dict[str, Path], parts: Path) -> None:
    folder = runs[name]
    model = AutoModelForImageTextToText.from_pretrained(folder / "model")
    assert type(model) is LlavaForConditionalGeneration and not list(adapted_layers(model))
    before = fresh(parts).state_dict()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key].to(value.dtype))}
    layers = {key for key in before if "language_model.layers" in key and "norm" not in key}
    assert changed == layers | {key for key in before if "multi_modal_projector" in key}
    facts = json.loads((folder / "stage.json").read_text())
    assert facts["trained_parameters"]["adapter"] == NUM_ADAPTER
    assert set(facts["trained_parameters"]) == {"vlm.model.multi_modal_projector.", "supervision.", "adapter"}
    line = metrics(folder)[1]
    assert line["learning_rate[projector]"] == line["learning_rate[heads]"] == pytest.approx(line["learning_rate"] / 10)


# peft asks a model for what transformers calls by another name now.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_saved_adapter_is_the_merged_model_in_peft(runs: dict[str, Path], parts: Path) -> None:
    folder, base = runs[LORA], fresh(parts)
    untouched = logits(base)
    adapted = PeftModel.from_pretrained(base, folder / "adapter")
    merged = AutoModelForImageTextToText.from_pretrained(folder / "model")
    torch.testing.assert_close(logits(adapted), logits(merged), rtol=0, atol=1e-5)
    assert not torch.allclose(logits(adapted), untouched, rtol=0, atol=1e-5)
    projector = adapted.get_submodule("base_model.model.model.multi_modal_projector").state_dict()
    trained = merged.model.multi_modal_projector.state_dict()
    assert all(torch.equal(projector[f"modules_to_save.default.{key}"], value) for key, value in trained.items())


@pytest.mark.parametrize("name", [LORA, QLORA])
def test_resumed_is_uninterrupted_bit_for_bit(
    name: str, runs: dict[str, Path], parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, count = StageTrainer.training_step, iter(range(10))

    def interrupted(self: StageTrainer, *args: object, **kwargs: object) -> object:
        if next(count) == 2:
            raise KeyboardInterrupt
        return plain(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StageTrainer, "training_step", interrupted)
        trained(name, parts, tmp_path / "run")
    (checkpoint,) = (tmp_path / "run" / "instruct" / "checkpoints").glob("checkpoint-2")
    kept = load_file(checkpoint / "trainable.safetensors")
    assert not any("base_layer" in key for key in kept) and any("lora_A" in key for key in kept)
    trained(name, parts, tmp_path / "run")
    assert model_bytes(tmp_path / "run" / "instruct") == model_bytes(runs[name])
    assert json.loads((tmp_path / "run" / "instruct" / "stage.json").read_text())["resumed_from"] == "checkpoint-2"


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("checkpointing", ["true", "false"])
def test_gradients_reach_the_projector_through_a_frozen_language_model(
    base: str, checkpointing: str, parts: Path
) -> None:
    changes = {"stages.instruct.adapter.base": base, "stages.instruct.gradient_checkpointing": checkpointing}
    objective, dataset = build(parts, LORA, **SMALL, **changes)
    set_trainable(objective, RECIPES[LORA].stage("instruct").trainable)
    objective.train()
    objective(**collate(dataset, ["q0", "q1"]))["loss"].backward()
    trained = {name: parameter for name, parameter in objective.named_parameters() if parameter.requires_grad}
    # With its second factor zero, the first one has no gradient on the first step.
    silent = {name for name, parameter in trained.items() if parameter.grad is None or not parameter.grad.any()}
    assert silent == {name for name in trained if "lora_A" in name}
    assert not any("embed_tokens" in name or "lm_head" in name for name in trained)


def test_adapters_train_by_their_type_and_not_by_a_name(parts: Path) -> None:
    objective, _ = build(parts)
    objective.vlm.model.multi_modal_projector.lora_A = nn.Linear(2, 2)
    assert "adapter" not in set_trainable(objective, ["supervision."])
    assert not any(parameter.requires_grad for parameter in objective.vlm.parameters())


def test_the_outline_is_a_copy_and_has_as_many_parameters(parts: Path) -> None:
    recipe = shrink(LORA, parts, **SMALL)
    objective, _ = build_objective(recipe, recipe.stage("instruct"), None, seed=0)
    plain, _ = load_vlm(recipe, None, seed=0)
    outline = outline_adapter(plain.to("meta"), recipe.stage("instruct").adapter)
    shapes = {name: each.shape for name, each in objective.vlm.named_parameters()}
    assert {name: each.shape for name, each in outline.named_parameters()} == shapes
    assert not list(adapted_layers(plain)) and outline_adapter(plain, None) is plain


def test_an_adapter_and_a_language_model_that_trains_are_refused() -> None:
    stage = RECIPES["asvr-vicuna-7b"].stage("instruct")
    with pytest.raises(ValueError, match=r"'instruct' has an adapter .* trains 'vlm\.model\.language_model\.' as well"):
        replace(stage, adapter=LoraSpec())
    with pytest.raises(ValueError, match=r"trains 'vlm\.' as well"):
        replace(RECIPES[LORA].stage("instruct"), trainable=("vlm.",))


def test_an_adapter_s_size_can_be_set_from_the_command_line() -> None:
    recipe = derive(RECIPES[LORA], {"stages.instruct.adapter.rank": "8", "stages.instruct.adapter.base": "nf4"})
    assert recipe.stage("instruct").adapter == LoraSpec(rank=8, alpha=256, dropout=0.05, base="nf4")
    with pytest.raises(ValueError, match="adapter has rank 0"):
        derive(RECIPES[LORA], {"stages.instruct.adapter.rank": "0"})


def test_four_bits_without_bitsandbytes_are_refused_before_training(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ValueError, match=r"adapter\.base=nf4 needs bitsandbytes: install it with .*asvr\[qlora\]"):
        trained(QLORA, parts, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_sharded_launch_is_refused_before_training(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="this launch shards them"):
        trained(LORA, parts, tmp_path / "run")
