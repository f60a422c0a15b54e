"""The arithmetic of batches and lengths, and what `asvr explain` says and writes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import TrainingArguments

from asvr.cli.explain import explain
from asvr.data.conversation import Conversation, Turn
from asvr.planning.batches import common_micro_batches, cut
from asvr.planning.launch import cache_lines, launch_line
from asvr.planning.lengths import ASSUMED, TEMPLATE_TOKENS, measured, stage_lengths
from asvr.planning.outline import outline_once
from asvr.planning.plan import Devices, make_plan
from asvr.recipes import RECIPES
from asvr.recipes.spec import Share

ASVR = RECIPES["asvr-vicuna-7b"]
PRETRAIN, INSTRUCT = ASVR.stages
CONFIG = outline_once(ASVR.model).config


@pytest.fixture(autouse=True)
def without_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_llava_s_steps() -> None:
    # LLaVA-1.5's logs have 2181 and 5198 steps, of 558,128 and 665,298 records.
    pretrain = cut(PRETRAIN, 558_128, gpus=8, micro_batch=32)
    instruct = cut(INSTRUCT, 665_298, gpus=8, micro_batch=16)
    assert (pretrain.steps, pretrain.accumulation, instruct.steps, instruct.accumulation) == (2181, 1, 5198, 1)
    # Warm-up as the Trainer counts it.
    assert pretrain.warmup_steps == TrainingArguments(warmup_steps=0.03, use_cpu=True).get_warmup_steps(2181) == 66


def test_a_micro_batch_is_no_larger_than_the_batch_and_divides_it() -> None:
    assert cut(PRETRAIN, 1000, gpus=1, micro_batch=512).micro_batch == 256
    with pytest.raises(ValueError, match=r"stage 'pretrain' has batches of 256.*3 device.*--gpus and --micro-batch"):
        cut(PRETRAIN, 1000, gpus=3, micro_batch=32)
    assert common_micro_batches(ASVR.stages, 8) == [16, 8, 4, 2, 1]
    with pytest.raises(ValueError, match="cannot be cut over 3 devices"):
        common_micro_batches(ASVR.stages, 3)


def test_a_stage_s_conversation_is_the_average_of_its_data_sets() -> None:
    both = replace(PRETRAIN, mixture=(Share(name="llava-558k", weight=0.5), Share(name="llava-665k")))
    lengths = stage_lengths(both, CONFIG)
    shares = {"llava-558k": 279_064, "llava-665k": 665_298}
    text = sum(ASSUMED[name].tokens * count for name, count in shares.items()) / sum(shares.values())
    assert lengths.records == sum(shares.values()) and lengths.visual == lengths.shown == 729
    assert lengths.text == pytest.approx(text + TEMPLATE_TOKENS["plain"])
    assert lengths.tokens == pytest.approx(lengths.text + 729 * lengths.pictures)
    assert lengths.origin.keys() == shares.keys()


def test_every_data_set_of_a_recipe_has_an_assumed_length() -> None:
    named = {share.name for recipe in RECIPES.values() for stage in recipe.stages for share in stage.mixture}
    assert named <= ASSUMED.keys()


def test_given_records_are_measured() -> None:
    turns = (Turn("user", "<image>\n" + "q" * 32), Turn("assistant", "a" * 80))
    given = [Conversation("0", ("0.png",), turns), Conversation("1", (), ())]
    text = measured(given)
    # 40 and 80 characters, over two records of which one is empty, four characters a token.
    assert (text.pictures, text.tokens, text.answer) == (0.5, 15.0, 10.0)
    lengths = stage_lengths(INSTRUCT, CONFIG, given)
    assert lengths.records == 2 and lengths.tokens == 0.5 * 729 + 15 + TEMPLATE_TOKENS["vicuna_v1"]


def test_truncation_takes_text_alone() -> None:
    assert stage_lengths(replace(INSTRUCT, max_length=800), CONFIG).tokens == pytest.approx(800)


def test_an_anyres_picture_has_the_tokens_of_its_processor() -> None:
    config = outline_once(RECIPES["llava-anyres-next-vicuna-7b"].model).config
    lengths = stage_lengths(PRETRAIN, config)
    # 480x640 pixels fit 2x2 tiles best: 54 columns, and of the rows those that 480 / 640 of them fill, whole.
    rows = 54 * 480 // 640
    assert (lengths.crops, lengths.visual, lengths.shown) == (5, 729 + rows * 55, 729 + rows * 54)


def test_a_plan_takes_the_most_that_fits() -> None:
    plan = make_plan(RECIPES["llava-vicuna-7b"], Devices(gpus=8, memory=80.0, strategy="fsdp"))
    assert plan.fits and plan.micro_batch == 16
    # 16 bytes for each of 6.76e9 trained parameters, and as many gradients again to sum them, are 126 GiB on each.
    whole = make_plan(RECIPES["llava-vicuna-7b"], Devices(gpus=8, memory=80.0, strategy="ddp"), micro_batch=2)
    assert not whole.fits and whole.micro_batch == 2
    assert whole.stages[1].memory.states.total == pytest.approx(126 * 2**30, rel=0.03)
    # What is set aside alone fills so small a device.
    assert make_plan(RECIPES["tiny-llava"], Devices(gpus=4, memory=1.0)).micro_batch == 1
    starts = {
        "ddp": "torchrun --nproc-per-node 8 -m asvr train llava-vicuna-7b --data-root DATA --micro-batch 16",
        "fsdp": "accelerate launch --num_processes 8 --use_fsdp --fsdp_version 2 ",
        "zero3": "accelerate launch --num_processes 8 --use_deepspeed --zero_stage 3 ",
    }
    for strategy, start in starts.items():
        devices = Devices(gpus=8, strategy=strategy)  # type: ignore[arg-type]
        line = launch_line(replace(plan, devices=devices), layer="LlamaDecoderLayer", changes=["precision=fp32"])
        assert line.startswith(start) and line.endswith("--set precision=fp32")


def test_explain_says_it_and_writes_it(
    asvr: Callable[[list[str]], tuple[int, str]], tmp_path: Path, parts: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "plan.json"
    tiny = ["--set", f"model.vision_tower={parts / 'tower'}", "--tokenizer", str(parts / "tokenizer")]
    code, said = asvr(["explain", "tiny-asvr", *tiny, "--gpus", "1", "--json", str(file)])
    assert code == 0, said
    written = json.loads(file.read_text())
    assert written["recipe"] == "tiny-asvr" and written["grid"] == [2, 2]
    assert [stage["name"] for stage in written["stages"]] == ["pretrain", "instruct"]
    assert written["launch"].startswith("asvr train tiny-asvr --data-root DATA --micro-batch 16 --set ")


def test_explain_says_how_a_cache_is_made(parts: Path, capsys: pytest.CaptureFixture) -> None:
    # The tokenizer is there, its cache is still to be made.
    shutil.copytree(parts / "tokenizer", "tokenizers/tiny")
    target = "stages.instruct.supervision.semantic.target"
    changes = {"model.vision_tower": str(parts / "tower"), f"{target}.cache": "targets/tiny"}
    changes |= {f"{target}.resample": "true", f"{target}.tokenizer": "tokenizers/tiny"}
    explain("tiny-asvr", set_=[f"{path}={value}" for path, value in changes.items()], gpu_memory=80.0)
    said = capsys.readouterr().out
    assert "\nasvr targets cache --tokenizer tokenizers/tiny --data DATA --out targets/tiny --grid 2x2\n" in said
    recipe = RECIPES["dual-vicuna-7b"]
    # One for all stages; the other visual loss reads the model's own tower.
    line = "asvr targets cache --tokenizer tokenizers/appearance --data DATA --out targets/appearance"
    assert cache_lines(recipe, (27, 27)) == [line] and not cache_lines(ASVR, (27, 27))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["asvr-vicuna-7"], "did you mean 'asvr-vicuna-7b'"),
        (["asvr-vicuna-7b", "--set", "model.language_model=no/such"], "the shape of 'no/such' is not known here"),
        (["llava-vicuna-7b", "--tokenizer", "mine"], "would change nothing"),
        (["asvr-vicuna-7b-lora", "--strategy", "fsdp"], "fsdp shards them, so use ddp"),
        (["llava-vicuna-7b", "--gpus", "3"], "cannot be cut over 3 devices"),
        (["llava-vicuna-7b", "--data", "records.json"], "write STAGE=FILE"),
        (["llava-vicuna-7b", "--data", "middle=records.json"], "no stage 'middle'"),
    ],
)
def test_explain_refuses(arguments: list[str], message: str, asvr: Callable[[list[str]], tuple[int, str]]) -> None:
    code, said = asvr(["explain", *arguments])
    assert code == 1 and message in said
