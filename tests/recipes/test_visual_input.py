"""Recipes with discrete, multi-scale and SigLIP2 input: they train in both stages, and what they save answers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from asvr.evaluation.answer import answer_questions
from asvr.models.visual_input import DiscreteInput, MultiScaleInput
from asvr.recipes import RECIPES
from asvr.targets.towers import TowerFeatures
from asvr.training.prepare import load_vlm
from tests.invariants.batches import build, collate, losses_and_gradients
from tests.parts import shrink, write_tower
from tests.training.runs import metrics, train

PROJECTOR, LANGUAGE_MODEL = "model.multi_modal_projector.", ("model.language_model.", "lm_head.")
PAIRS = [
    ("llava-discrete-vicuna-7b", "asvr-discrete-vicuna-7b", "llava-vicuna-7b"),
    ("llava-s2-next-vicuna-7b", "asvr-s2-next-vicuna-7b", "llava-next-vicuna-7b"),
    ("llava-siglip2-next-vicuna-7b", "asvr-siglip2-next-vicuna-7b", "llava-next-vicuna-7b"),
]
TARGET = "stages.pretrain.supervision.semantic.target"


BOOKS = "vision_tower.quantisation.quantizer.books"


def saved(stage: Path) -> dict[str, Tensor]:
    return AutoModelForImageTextToText.from_pretrained(stage / "model").state_dict()


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", ["llava-discrete-vicuna-7b", *(asvr for _, asvr, _ in PAIRS)])
def test_a_row_trains_what_the_paper_trains_and_answers(name: str, parts: Path, tmp_path: Path) -> None:
    fresh, _ = load_vlm(shrink(name, parts), None, seed=0)
    instruct = train(name, parts, tmp_path / "run")
    pretrain = instruct.parent / "pretrain"
    # 8 captions, then 10 conversations, four at a time.
    for stage, steps in ((pretrain, 2), (instruct, 3)):
        losses = [line for line in metrics(stage) if "loss" in line]
        assert [line["step"] for line in losses] == list(range(1, steps + 1))
        assert all(("loss_semantic" in line) == name.startswith("asvr") for line in losses)
    projector = {key for key in fresh.state_dict() if key.startswith(PROJECTOR)}
    assert moved(fresh.state_dict(), saved(pretrain)) == projector and len(projector) == 4
    language_model = {key for key in fresh.state_dict() if key.startswith(LANGUAGE_MODEL)}
    assert moved(saved(pretrain), saved(instruct)) == projector | language_model
    records = parts / "records"
    answer_questions(
        instruct / "model", records / "eval.json", records / "images", tmp_path / "answers", max_new_tokens=2
    )
    assert len((tmp_path / "answers" / "answers.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize(("text_only", "asvr", "neighbour"), PAIRS)
def test_a_row_differs_from_its_neighbour_in_its_input_alone(text_only: str, asvr: str, neighbour: str) -> None:
    ours, theirs, next_to = RECIPES[text_only], RECIPES[asvr], RECIPES[neighbour]
    assert ours.model == theirs.model != next_to.model and ours.stages == next_to.stages
    assert ours.alignment == theirs.alignment == "next"
    for one, other in zip(ours.stages, theirs.stages, strict=True):
        assert not one.supervision and list(other.supervision) == ["semantic"]
        assert other.trainable == (*one.trainable, "supervision.")


def test_rows_have_the_paper_s_inputs() -> None:
    discrete, s2, siglip2 = (RECIPES[asvr] for _, asvr, _ in PAIRS)
    tokenizers = {recipe.stages[1].supervision["semantic"].target.tokenizer for recipe in (discrete, s2)}
    assert tokenizers == {"tokenizers/siglip-so400m"}
    assert discrete.model.visual_input == DiscreteInput(tokenizer="tokenizers/siglip-so400m")
    # Table 3: 1152 = 3 x 384.
    assert s2.model.visual_input == MultiScaleInput(scales=(1, 2, 3))
    assert siglip2.model.vision_tower == "google/siglip2-so400m-patch14-384"
    assert siglip2.stages[0].supervision["semantic"].target.tokenizer == "tokenizers/siglip2-so400m"


def test_one_tower_gives_the_codes_that_enter_and_those_that_are_learnt(parts: Path) -> None:
    second = {"stages.instruct.supervision.semantic.target.own_tower": "false"}
    (own, dataset), (two, theirs) = (build(parts, "asvr-discrete-vicuna-7b", **changes) for changes in ({}, second))
    assert [sum(isinstance(m, TowerFeatures) for m in each.modules()) for each in (own, two)] == [0, 1]
    ids = ["q0", "two", "text", "u3"]
    losses, gradients = losses_and_gradients(own, collate(dataset, ids))
    expected, of_two = losses_and_gradients(two, collate(theirs, ids))
    assert losses.keys() == expected.keys() and all(torch.equal(losses[name], expected[name]) for name in losses)
    assert gradients.keys() == of_two.keys() and all(torch.equal(gradients[name], of_two[name]) for name in of_two)
    assert not any(name.startswith("vlm.model.vision_tower.tower.") for name in gradients)


def test_the_codebooks_stay_fp32_in_a_model_saved_in_bf16(parts: Path, tmp_path: Path) -> None:
    run = train("llava-discrete-vicuna-7b", parts, tmp_path / "run", precision="bf16").parent
    codebooks = load_file(parts / "tokenizer" / "codebooks.safetensors")["codebooks"]
    for stage in ("pretrain", "instruct"):
        weights = load_file(run / stage / "model" / "model.safetensors")
        # fp32 in the file, and once loaded.
        assert torch.equal(weights.pop(BOOKS), codebooks)
        assert {value.dtype for value in weights.values()} == {torch.bfloat16}
        assert torch.equal(saved(run / stage)[f"model.{BOOKS}"], codebooks)


def test_the_own_tower_of_several_scales_is_refused(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"than the model's, size differ.*own_tower=false.*second tower"):
        train("asvr-s2-next-vicuna-7b", parts, tmp_path / "run", **{f"{TARGET}.own_tower": "true"})
    assert not (tmp_path / "run").exists()


def test_the_own_tower_s_other_layers_are_refused(parts: Path, tmp_path: Path) -> None:
    # transformers keeps the one hidden state that the model reads.
    changes = {f"{TARGET}.own_tower": "true", "model.feature_layer": "-3"}
    with pytest.raises(ValueError, match=r"of layer -2 of the vision tower, but the model reads layer -3 alone: set"):
        train("asvr-vicuna-7b", parts, tmp_path / "run", **changes)


def test_discrete_input_of_another_tower_is_refused(parts: Path, tmp_path: Path) -> None:
    changes = {"model.vision_tower": str(write_tower(tmp_path / "other", seed=5))}
    with pytest.raises(ValueError, match=r"model.visual_input.tokenizer: .* fitted on another vision tower"):
        train("llava-discrete-vicuna-7b", parts, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_tower_that_no_gradient_reaches_does_not_train(parts: Path, tmp_path: Path) -> None:
    trainable = {"stages.instruct.trainable": "vlm.model.vision_tower.,vlm.model.multi_modal_projector."}
    with pytest.raises(ValueError, match="'instruct' trains the vision tower, but discrete visual input lets no"):
        train("llava-discrete-vicuna-7b", parts, tmp_path / "run", **trainable)
