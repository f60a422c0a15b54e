"""Every recipe at its real size, without weights: what it is a row of, and exactly what it trains."""

import re
from pathlib import Path

import pytest

from asvr.planning.outline import outline_once
from asvr.planning.parameters import Part, parts, rates, stage_outline
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.recipes.tables import TABLES

REAL = [recipe for recipe in RECIPES.values() if not recipe.name.startswith("tiny-")]

WIDTHS = {
    "lmsys/vicuna-7b-v1.5": (4096, 32_064, 6_738_415_616, 32_000),
    "lmsys/vicuna-13b-v1.5": (5120, 32_064, 13_015_864_320, 32_000),
    "mistralai/Mistral-7B-Instruct-v0.2": (4096, 32_064, 7_241_732_096, 32_000),
    "Qwen/Qwen2.5-7B-Instruct": (3584, 152_064, 7_615_616_512, 152_064),
    "Qwen/Qwen3-8B": (4096, 151_936, 8_190_735_360, 151_936),
    "meta-llama/Meta-Llama-3-8B-Instruct": (4096, 128_320, 8_030_261_248, 128_256),
}
"""Width, rows of the embeddings once training's tokens are among them, published parameters and published rows."""

DEPTH_TRANSFORMER = 723_970_048 - 18_432
"""The release's, without the biases that its own arithmetic never uses (tests/heads)."""


@pytest.fixture(autouse=True)
def without_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes name folders relative to where they are run; here there are none."""
    monkeypatch.chdir(tmp_path)


def trained(recipe: Recipe, stage: str) -> dict[str, int]:
    found = recipe.stage(stage)
    return {part.name: part.trained for part in _parts(recipe, stage) if part.trained or part.name in found.supervision}


def _parts(recipe: Recipe, stage: str) -> list[Part]:
    found = recipe.stage(stage)
    return parts(found, stage_outline(recipe, found))


def expected_projector(recipe: Recipe) -> int:
    width, *_ = WIDTHS[recipe.model.language_model]
    entering = 1152 * (3 if "-s2-" in recipe.name else 1)
    return entering * width + width + width * width + width


def expected_language_model(recipe: Recipe) -> tuple[int, int]:
    """Parameters of the language model and of its text classifier."""
    width, rows, published, published_rows = WIDTHS[recipe.model.language_model]
    grown = published + 2 * (rows - published_rows) * width
    return grown - rows * width, rows * width


def expected_depth_transformer(recipe: Recipe, dim: int = 1152) -> int:
    """The release's head and the projector before it; tokenizers of 1024 channels have a narrower way in."""
    width, *_ = WIDTHS[recipe.model.language_model]
    projector = width * 2048 + 2048 + 2048 * 2048 + 2048
    return DEPTH_TRANSFORMER - (1152 - dim) * 2048 + projector


@pytest.mark.parametrize("recipe", REAL, ids=lambda recipe: recipe.name)
def test_a_row_trains_exactly_what_the_paper_names(recipe: Recipe) -> None:
    projector = {"projector": expected_projector(recipe)}
    if "-anyres-" in recipe.name:
        projector["end of a row"] = 4096
    language_model, classifier = expected_language_model(recipe)
    for stage in recipe.stages:
        found = trained(recipe, stage.name)
        heads = {name: found.pop(name) for name in list(found) if name.startswith("head ")}
        whole = {} if stage.name == "pretrain" else {"language model": language_model, "text classifier": classifier}
        if stage.adapter is not None:
            # Rank 128 on the seven matrices of each layer: four of attention, 4096 square, and three of 4096 x 11008.
            whole = {"language model": 32 * 128 * (4 * (4096 + 4096) + 3 * (4096 + 11_008))}
        assert found == {**projector, **whole}
        assert heads.keys() == {f"head {name}" for name in stage.supervision}
        if all("tokenizer" in vars(spec.target) for spec in stage.supervision.values()):
            dim = 1024 if recipe.name.startswith(("dinov3", "depth-anything")) else 1152
            assert set(heads.values()) <= {expected_depth_transformer(recipe, dim)}


def test_asvr_differs_from_its_baseline_by_the_head_alone() -> None:
    for baseline, asvr in (
        ("llava-vicuna-7b", "asvr-vicuna-7b"),
        ("llava-s2-next-vicuna-7b", "asvr-s2-next-vicuna-7b"),
        ("llava-anyres-next-vicuna-7b", "asvr-anyres-next-vicuna-7b"),
        ("llava-discrete-vicuna-7b", "asvr-discrete-vicuna-7b"),
        ("llava-qwen3-8b", "asvr-qwen3-8b"),
    ):
        for stage in ("pretrain", "instruct"):
            ours, theirs = trained(RECIPES[asvr], stage), trained(RECIPES[baseline], stage)
            assert ours.pop("head semantic") == expected_depth_transformer(RECIPES[asvr])
            assert ours == theirs, asvr


def test_dual_supervision_has_two_heads_and_its_rows_one_each() -> None:
    by_recipe = {
        name: set(RECIPES[name].stage("instruct").supervision)
        for name in ("asvr-vicuna-7b", "appearance-vicuna-7b", "dual-vicuna-7b")
    }
    assert list(by_recipe.values()) == [{"semantic"}, {"appearance"}, {"semantic", "appearance"}]


def test_supervision_in_one_stage_leaves_the_other_text_only() -> None:
    tuning, pretraining = RECIPES["asvr-tuning-only-vicuna-7b"], RECIPES["asvr-pretraining-only-vicuna-7b"]
    both, none = RECIPES["asvr-vicuna-7b"], RECIPES["llava-vicuna-7b"]
    assert tuning.stages == (none.stages[0], both.stages[1])
    assert pretraining.stages == (both.stages[0], none.stages[1])
    assert {recipe.alignment for recipe in (tuning, pretraining, both)} == {"next"}


def test_every_recipe_names_its_row_or_says_why_it_exists() -> None:
    for recipe in RECIPES.values():
        assert re.search(r"Table \d+|beyond the paper|^as |laptop size|^tiny-asvr with", recipe.source), recipe.source
    for table in TABLES.values():
        for row in table.rows:
            assert row.recipe in RECIPES and (row.baseline is None or row.baseline in RECIPES)


def test_learning_rates_are_of_all_that_trains() -> None:
    for recipe in REAL:
        for stage in recipe.stages:
            objective = stage_outline(recipe, stage)
            found = rates(stage, objective)
            assert sum(rate.parameters for rate in found) == sum(part.trained for part in parts(stage, objective))
    lora = RECIPES["asvr-vicuna-7b-lora"]
    found = {rate.group: rate.learning_rate for rate in rates(lora.stages[1], stage_outline(lora, lora.stages[1]))}
    # LLaVA-1.5's finetune_lora.sh: 2e-4, and 2e-5 for the projector.
    assert found == {"": 2e-4, "projector": 2e-5, "heads": 2e-5}


def test_an_outline_with_an_adapter_leaves_the_shared_one_alone() -> None:
    recipe = RECIPES["asvr-vicuna-7b-lora"]
    stage_outline(recipe, recipe.stages[1])
    assert not any("lora" in name for name, _ in outline_once(recipe.model).named_parameters())
