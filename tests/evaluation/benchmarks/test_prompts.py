"""Whole prompts: byte for byte those of the reference code, in our own presets and in what we ship for lmms-eval."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from asvr.data.conversation import Turn
from asvr.data.rendering import render_prompt
from asvr.data.templates import TEMPLATES
from asvr.evaluation.benchmarks import BENCHMARKS, PRESETS

from .golden import cases, needs_metrics

TASKS = Path(__file__).parents[3] / "integrations" / "lmms-eval" / "asvr_paper.yaml"

LMMS_EVAL_NAMES = {
    "textvqa": "textvqa_val",
    "docvqa": "docvqa_val",
    "ocrbench": "ocrbench",
    "chartqa": "chartqa",
    "mmbench": "mmbench_en_dev_static",
    "mme": "mme",
    "seed_image": "seedbench",
    "gqa": "gqa",
    "mmmu": "mmmu_val",
    "ai2d": "ai2d",
    "realworldqa": "realworldqa",
    "mmvp": "mmvp",
    "hallusionbench": "hallusion_bench_image",
    "pope": "pope",
}
"""The tasks of lmms-eval 0.7.3 by our names."""

ASKED_OTHERWISE = {"mmmu"}
"""Put differently by lmms-eval than by the paper, and not overridden: the options are text that a task would parse."""


@pytest.fixture(scope="module")
def tasks() -> dict[str, dict[str, Any]]:
    listed = yaml.safe_load(TASKS.read_text())["task"]
    return dict(zip(BENCHMARKS, listed, strict=True))


@needs_metrics
def test_every_recorded_prompt_is_ours_byte_for_byte() -> None:
    recorded = list(cases("prompts"))
    assert len(recorded) == 22
    assert {case["benchmark"] for case in recorded} == set(BENCHMARKS)
    for case in recorded:
        prompt = BENCHMARKS[case["benchmark"]].protocols["paper"].prompt(case["item"])
        assert prompt.encode() == case["expected"]["user_message"].encode()


@needs_metrics
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_shows_one_picture_first(preset: str) -> None:
    for case in cases("prompts"):
        prompt = BENCHMARKS[case["benchmark"]].protocols[preset].prompt(case["item"])
        assert prompt.startswith("<image>")
        assert prompt.count("<image>") == 1


def test_the_tasks_for_lmms_eval_are_the_fourteen_in_order(tasks: dict[str, dict[str, Any]]) -> None:
    assert {name: task["task"] for name, task in tasks.items()} == LMMS_EVAL_NAMES


def test_the_tasks_for_lmms_eval_let_models_say_as_much_as_the_paper_s_protocol(
    tasks: dict[str, dict[str, Any]],
) -> None:
    for name, task in tasks.items():
        longest = BENCHMARKS[name].protocols["paper"].max_new_tokens
        assert task["generation_kwargs"] == {
            "max_new_tokens": longest,
            "temperature": 0,
            "num_beams": 1,
            "do_sample": False,
        }


@needs_metrics
def test_lmms_eval_puts_the_recorded_prompts(tasks: dict[str, dict[str, Any]]) -> None:
    """As lmms-eval renders templates; its `llava_hf` puts a line with "<image>" before them (`--force_simple`)."""
    jinja = Environment(undefined=StrictUndefined)
    overridden = {name for name, task in tasks.items() if "doc_to_text" in task}
    for case in cases("prompts"):
        name, item, expected = case["benchmark"], case["item"], case["expected"]["user_message"]
        if name in overridden:
            assert "<image>\n" + jinja.from_string(tasks[name]["doc_to_text"]).render(item) == expected
        elif name not in ASKED_OTHERWISE:
            assert BENCHMARKS[name].protocols["lmms-eval"].prompt(item) == expected
    assert len(overridden) == 8


@needs_metrics
def test_what_is_overridden_differs_in_lmms_eval(tasks: dict[str, dict[str, Any]]) -> None:
    differing = {
        case["benchmark"]
        for case in cases("prompts")
        if BENCHMARKS[case["benchmark"]].protocols["lmms-eval"].prompt(case["item"]) != case["expected"]["user_message"]
    }
    assert differing - ASKED_OTHERWISE == {name for name, task in tasks.items() if "doc_to_text" in task}


def test_options_that_are_not_there_are_not_shown(tasks: dict[str, dict[str, Any]]) -> None:
    row = {"hint": "Look left.", "question": "Where?", "A": "here", "B": "there", "C": "nan", "D": float("nan")}
    prompt = Environment(undefined=StrictUndefined).from_string(tasks["mmbench"]["doc_to_text"]).render(row)
    assert "<image>\n" + prompt == BENCHMARKS["mmbench"].protocols["paper"].prompt(row)
    assert prompt.startswith("Look left.\nWhere? Options:\nA. here\nB. there\nAnswer with")


@pytest.mark.parametrize("template", sorted(TEMPLATES.keys() - {"plain"}))
def test_the_stock_llava_hf_renders_our_templates_as_we_do(tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    """With `--force_simple` it hands the whole message over as a text; without, the line break is lost."""
    message, chat_template = "<image>\nIs there a dog?", TEMPLATES[template]
    contents: list[Any] = [message, [{"type": "image"}, {"type": "text", "text": "Is there a dog?"}]]
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=chat_template,
            tokenize=False,
            add_generation_prompt=True,
        )
        for content in contents
    ]
    ours = render_prompt((Turn("user", message),), tokenizer, chat_template=chat_template)
    assert texts == [ours, ours.replace("<image>\n", "<image>")]


@pytest.mark.parametrize("template", sorted(TEMPLATES.keys() - {"plain"}))
def test_without_the_start_token_a_template_suits_tokenizers_that_add_one(
    tokenizer: PreTrainedTokenizerFast, template: str
) -> None:
    """`llava_hf` lets the tokenizer add its own to a text that has one; docs/benchmarks.md says what to do about it."""
    adding, start = deepcopy(tokenizer), tokenizer.bos_token_id
    adding.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    turns = (Turn("user", "<image>\nIs there a dog?"),)
    texts = [
        render_prompt(turns, tokenizer, chat_template=chat_template)
        for chat_template in (TEMPLATES[template], TEMPLATES[template].replace("{{ bos_token or '' }}", ""))
    ]
    ours = tokenizer(texts[0], add_special_tokens=False).input_ids
    assert adding(texts[0]).input_ids == [start, *ours]
    assert adding(texts[1]).input_ids == ours
