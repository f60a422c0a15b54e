import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, SiglipVisionModel

from asvr.data.dataset import Source
from asvr.derive import recipe_hash
from asvr.objective import Objective
from asvr.recipes import RECIPES
from asvr.recipes.tiny import ROWS as TINY_ROWS
from asvr.training.log import read_metrics
from asvr.training.prepare import load_vlm
from asvr.training.run import run_recipe
from asvr.training.stage import Machine
from asvr.training.trainer import last_checkpoint
from tests.parts import shrink
from tests.training.runs import QUIET, metrics, sources, train

TOWER, LANGUAGE_MODEL, PROJECTOR = "vision_tower", "language_model", "multi_modal_projector"


@pytest.fixture(scope="module")
def run(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the ASVR arm."""
    return train("tiny-asvr", parts, tmp_path_factory.mktemp("run") / "asvr").parent


def weights(stage: Path, part: str) -> dict[str, torch.Tensor]:
    """A part's weights, by the names of the part's own."""
    return AutoModelForImageTextToText.from_pretrained(stage / "model").model.get_submodule(part).state_dict()


STOCK = "LlavaForConditionalGeneration"
SAVED = {
    **{recipe.name: STOCK for recipe in TINY_ROWS},
    "dual-vicuna-7b": STOCK,
    "asvr-discrete-vicuna-7b": STOCK,
    "asvr-s2-next-vicuna-7b": STOCK,
    "asvr-anyres-next-vicuna-7b": "LlavaNextForConditionalGeneration",
    "ross-siglip-next-vicuna-7b": STOCK,
    "asvr-onevision-vicuna-7b": STOCK,
    "asvr-vicuna-7b-qlora": STOCK,
}
"""A recipe of each kind, and what it saves; tests/recipes/test_shrink.py trains every recipe."""


@pytest.mark.parametrize("name", SAVED)
def test_a_recipe_trains_when_shrunk_and_saves_a_stock_model(name: str, parts: Path, tmp_path: Path) -> None:
    folder = train(name, parts, tmp_path / "run")
    model = AutoModelForImageTextToText.from_pretrained(folder / "model")
    processor = AutoProcessor.from_pretrained(folder / "model", backend="pil")
    assert type(model).__name__ == SAVED[name]
    assert processor.chat_template
    lines = metrics(folder)
    heads = RECIPES[name].stages[1].supervision
    for head in heads:
        assert 0 < lines[0][f"loss_{head}"] < 10
        assert load_file(folder / "heads" / f"{head}.safetensors")
    assert all(math.isfinite(line["loss"]) for line in lines if "loss" in line)


def test_the_first_stage_trains_the_projector_and_the_head_alone(run: Path, parts: Path) -> None:
    language_model = AutoModelForCausalLM.from_pretrained(parts / "language_model").model.state_dict()
    tower = SiglipVisionModel.from_pretrained(parts / "tower").state_dict()
    after = weights(run / "pretrain", LANGUAGE_MODEL)
    # The embedding may have grown by the image token; its old rows are what they were.
    assert all(torch.equal(after[name][: len(value)], value) for name, value in language_model.items())
    after = weights(run / "pretrain", TOWER)
    assert after and all(torch.equal(value, tower[name]) for name, value in after.items())
    fresh, _ = load_vlm(shrink("tiny-asvr", parts), None, seed=0)
    for name, value in fresh.model.multi_modal_projector.state_dict().items():
        assert not torch.equal(weights(run / "pretrain", PROJECTOR)[name], value), name


def test_the_second_stage_trains_the_language_model_and_never_the_tower(run: Path) -> None:
    before, after = weights(run / "pretrain", LANGUAGE_MODEL), weights(run / "instruct", LANGUAGE_MODEL)
    assert after.keys() == before.keys()
    assert all(not torch.equal(after[name], before[name]) for name in after)
    before, after = weights(run / "pretrain", TOWER), weights(run / "instruct", TOWER)
    assert all(torch.equal(after[name], before[name]) for name in after)
    heads = [load_file(run / stage / "heads" / "semantic.safetensors") for stage in ("pretrain", "instruct")]
    assert all(not torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not any("codebooks" in name for name in heads[0])


def test_each_depth_is_logged_and_their_mean_is_the_visual_loss(run: Path) -> None:
    for stage in ("pretrain", "instruct"):
        lines = [line for line in metrics(run / stage) if "loss" in line]
        # 8 captions, and 10 conversations, four a step.
        assert [line["step"] for line in lines] == list(range(1, {"pretrain": 2, "instruct": 3}[stage] + 1))
        for line in lines:
            depths = [line[f"semantic_loss_depth_{depth}"] for depth in range(3)]
            assert line["loss_semantic"] == pytest.approx(sum(depths) / 3, rel=1e-5)
            assert line["loss"] == pytest.approx(line["loss_text"] + line["loss_semantic"], rel=1e-5)
            assert all(0 <= line[f"semantic_accuracy_depth_{depth}"] <= 1 for depth in range(3))


def test_the_learning_rate_is_a_cosine_with_warm_up(parts: Path, tmp_path: Path) -> None:
    changes = {f"stages.{stage}.optimisation.epochs": "10" for stage in ("pretrain", "instruct")}
    train("tiny-llava", parts, tmp_path / "run", **changes)
    rates = [line["learning_rate"] for line in metrics(tmp_path / "run" / "pretrain") if "loss" in line]
    # 20 steps; 3 % of them are one step of warm-up (0.6 rounded up), from zero.
    cosine = [0.5 * (1 + math.cos(math.pi * step / 19)) for step in range(19)]
    assert rates == pytest.approx([0.0, *(2e-3 * share for share in cosine)], abs=1e-9)


def test_a_run_says_where_it_comes_from(run: Path, parts: Path) -> None:
    found = json.loads((run / "provenance.json").read_text())
    assert found["seed"] == 0 and found["versions"]["torch"] == torch.__version__
    assert [Path(entry["data"]).name for entry in found["data"]] == ["captions.json", "instruct.json"]
    assert all(len(entry["sha256"]) == 64 for entry in found["data"])
    assert found["commit"] and found["hardware"] and found["started"].endswith("+00:00")
    facts = json.loads((run / "recipe.json").read_text())
    assert facts["identity"]["recipe"] == recipe_hash(shrink("tiny-asvr", parts))
    stage = json.loads((run / "instruct" / "stage.json").read_text())
    assert stage["steps"] == 3 and stage["seconds"] > 0 and stage["resumed_from"] is None
    # q0 to q7, two and text; 2 x 2 visual tokens an image; 8 + 2 images.
    assert stage["tokens"]["samples"] == 10 and stage["tokens"]["visual_tokens"] == 40
    assert not (run / "instruct" / "checkpoints").exists()


def test_arms_share_the_initial_projector_and_the_order_of_the_data(parts: Path, run: Path, tmp_path: Path) -> None:
    train("tiny-llava", parts, tmp_path / "text")
    text_only, asvr = metrics(tmp_path / "text" / "pretrain"), metrics(run / "pretrain")
    assert text_only[0]["loss_text"] == asvr[0]["loss_text"]
    train("tiny-llava", parts, tmp_path / "other", seed=1)
    assert metrics(tmp_path / "other" / "pretrain")[0]["loss_text"] != text_only[0]["loss_text"]


def test_companions_leave_the_text_as_it_was(parts: Path, run: Path, tmp_path: Path) -> None:
    train("tiny-asvr-unlabelled", parts, tmp_path / "run")
    ours, alone = metrics(tmp_path / "run" / "pretrain")[0], metrics(run / "pretrain")[0]
    assert ours["loss_text"] == pytest.approx(alone["loss_text"], rel=1e-5)
    assert ours["loss_semantic"] != alone["loss_semantic"]


def test_equal_seeds_give_equal_models(run: Path, parts: Path, tmp_path: Path) -> None:
    # Another micro-batch would round differently; workers and the log must not matter.
    machine = Machine(micro_batch=4, log_every=2, save_every=100, workers=1, progress=False)
    again = train("tiny-asvr", parts, tmp_path / "run", machine=machine)
    name = "model/model.safetensors"
    assert (again / name).read_bytes() == (run / "instruct" / name).read_bytes()


def test_half_precision_weights_train_in_full_precision(parts: Path, tmp_path: Path) -> None:
    half = AutoModelForCausalLM.from_pretrained(parts / "language_model").half()
    half.save_pretrained(tmp_path / "half")
    for file in (parts / "language_model").glob("*token*"):
        (tmp_path / "half" / file.name).write_bytes(file.read_bytes())
    vlm, _ = load_vlm(shrink("tiny-asvr", parts, **{"model.language_model": str(tmp_path / "half")}), None, seed=0)
    assert {parameter.dtype for parameter in vlm.parameters()} == {torch.float32}


def test_a_bf16_recipe_saves_a_bf16_model(parts: Path, tmp_path: Path) -> None:
    folder = train("tiny-asvr", parts, tmp_path / "run", precision="bf16")
    assert {value.dtype for value in load_file(folder / "model" / "model.safetensors").values()} == {torch.bfloat16}
    # It loads in that too, where nothing else is asked for.
    assert AutoModelForImageTextToText.from_pretrained(folder / "model").dtype == torch.bfloat16
    assert {value.dtype for value in load_file(folder / "heads" / "semantic.safetensors").values()} == {torch.float32}


def test_missing_stages_of_data_are_named(parts: Path, tmp_path: Path) -> None:
    data: dict[str, list[Source]] = {"pretrain": sources(parts / "records")["pretrain"]}
    with pytest.raises(ValueError, match=r"'instruct' has no data: .*--data instruct=FILE"):
        run_recipe(shrink("tiny-llava", parts), tmp_path / "run", data=data, machine=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_diverged_run_stops_before_it_is_saved(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not finite at step 2: training has diverged; .* lower learning"):
        train("tiny-llava", parts, tmp_path / "run", **{"stages.pretrain.optimisation.learning_rate": "1e38"})
    assert not (tmp_path / "run" / "pretrain" / "model").exists()
    assert last_checkpoint(tmp_path / "run" / "pretrain" / "checkpoints").name == "checkpoint-1"


def test_a_loss_that_is_no_number_stops_the_run(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_loss = Objective._text_loss

    def no_number(*given: Any) -> Any:
        scored, supervised = text_loss(*given)
        return scored._replace(total=scored.total * float("nan")), supervised

    monkeypatch.setattr(Objective, "_text_loss", no_number)
    with pytest.raises(ValueError, match="loss is nan at step 1: training has diverged"):
        train("tiny-llava", parts, tmp_path / "run")
    assert last_checkpoint(tmp_path / "run" / "pretrain" / "checkpoints") is None


def test_a_log_that_was_cut_short_is_read_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.5}]
