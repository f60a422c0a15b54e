"""The rows on other data: what they read, and the hyper-parameters of those with a stage more."""

from dataclasses import replace

import pytest

from asvr.data.manifest import MANIFEST
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe, Share, Stage

PROJECTOR = "vlm.model.multi_modal_projector."
LANGUAGE_MODEL = ("vlm.model.language_model.", "vlm.lm_head.")


def mixture(recipe: str, stage: str) -> int:
    """How many records an epoch takes, by the manifest."""
    return sum(round(share.weight * MANIFEST[share.name].num_records) for share in RECIPES[recipe].stage(stage).mixture)


@pytest.mark.parametrize("arm", ["llava", "asvr"])
def test_rows_are_as_large_as_table_2_says(arm: str) -> None:
    assert mixture(f"{arm}-vicuna-7b", "pretrain") == 558_128 and mixture(f"{arm}-vicuna-7b", "instruct") == 665_298
    assert mixture(f"{arm}-next-vicuna-7b", "instruct") == 779_289
    # 2M/2M.
    assert [mixture(f"{arm}-bunny-vicuna-7b", stage) for stage in ("pretrain", "instruct")] == [2_000_000] * 2
    # 558K/4M/4M.
    assert mixture(f"{arm}-onevision-vicuna-7b", "pretrain") == 558_128
    for stage in ("middle", "instruct"):
        assert mixture(f"{arm}-onevision-vicuna-7b", stage) == pytest.approx(4e6, rel=0.02)


@pytest.mark.parametrize("arm", ["llava", "asvr"])
def test_onevision_has_its_own_rates_and_trains_what_the_other_rows_train(arm: str) -> None:
    pretrain, middle, instruct = RECIPES[f"{arm}-onevision-vicuna-7b"].stages
    assert [stage.name for stage in (pretrain, middle, instruct)] == ["pretrain", "middle", "instruct"]
    # arXiv 2408.03326, Table 1: 512 in every stage, 1e-3 for the projector, then 1e-5.
    rates = [
        (stage.optimisation.batch_size, stage.optimisation.learning_rate) for stage in (pretrain, middle, instruct)
    ]
    assert rates == [(512, 1e-3), (512, 1e-5), (512, 1e-5)]
    heads = ("supervision.",) if arm == "asvr" else ()
    assert pretrain.trainable == (PROJECTOR, *heads)
    assert middle.trainable == instruct.trainable == (PROJECTOR, *LANGUAGE_MODEL, *heads)
    assert all(bool(stage.supervision) == (arm == "asvr") for stage in (pretrain, middle, instruct))


def test_bunny_differs_from_the_baseline_in_its_data_alone() -> None:
    ours, baseline = RECIPES["llava-bunny-vicuna-7b"], RECIPES["llava-vicuna-7b"]

    def without_data(recipe: Recipe) -> list[Stage]:
        return [replace(stage, mixture=()) for stage in recipe.stages]

    assert without_data(ours) == without_data(baseline) and ours.model == baseline.model


def test_a_data_set_is_named_once_in_a_mixture() -> None:
    twice = (Share(name="llava-558k"), Share(name="llava-558k", weight=2.0))
    with pytest.raises(ValueError, match=r"names a data set twice in its mixture .* with the weights added"):
        replace(RECIPES["llava-vicuna-7b"].stages[0], mixture=twice)
