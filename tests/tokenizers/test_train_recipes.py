from dataclasses import replace

import pytest
import torch
from torch import nn

from asvr.derive import derive
from asvr.tokenizer_training.build import build_objective
from asvr.tokenizer_training.loop import Layout
from asvr.tokenizer_training.optimise import build_optimiser, learning_rate
from asvr.tokenizer_training.recipes import TOKENIZER_RECIPES
from asvr.tokenizer_training.spec import TokenizerOptimisation, TokenizerRecipe

DUALTOKEN, TINY = TOKENIZER_RECIPES["dualtoken"], TOKENIZER_RECIPES["tiny-tokenizer"]


def test_dualtoken_s_published_numbers() -> None:
    """Its `run.sh` and `train.py`, as described in landscape.md, 4.1 and 4.2."""
    semantic, appearance, descent = DUALTOKEN.semantic, DUALTOKEN.appearance, DUALTOKEN.optimisation
    assert semantic is not None and appearance is not None
    assert (semantic.feature_weight, semantic.pooled_weight, semantic.commitment_weight) == (5, 1, 5)
    assert (appearance.pixel_weight, appearance.perceptual.weight, appearance.commitment_weight) == (5, 1, 5)
    assert (appearance.layers, appearance.shortcut_weight, appearance.adversarial.weight) == ((6, 4), 0.6, 0.75)
    for quantizer in (semantic.quantizer, appearance.quantizer):
        assert (quantizer.depth, quantizer.num_codes, quantizer.width, quantizer.shared) == (8, 16_384, 32, True)
        assert quantizer.decay == 0.99
    assert (descent.batch_size, descent.learning_rate, descent.betas) == (256, 7.2e-5, (0.5, 0.9))
    assert (descent.weight_decay, descent.warmup_steps) == (1e-4, 10_000)
    # 20 epochs of 10M samples; adversarial from the second half of the first.
    assert descent.steps == 20 * 10_000_000 // 256
    assert appearance.adversarial.start == 5_000_000 // 256


@pytest.mark.parametrize(("name", "pictures"), [("vq-siglip-3m", 3_000_000), ("vq-siglip-12m", 12_000_000)])
def test_the_paper_s_scales_are_twenty_passes_over_raw_features(name: str, pictures: int) -> None:
    recipe = TOKENIZER_RECIPES[name]
    assert recipe.semantic is not None
    assert recipe.optimisation.steps == 20 * pictures // recipe.optimisation.batch_size
    assert (recipe.semantic.pre, recipe.semantic.quantizer.width, recipe.semantic.quantizer.shared) == (
        "none",
        1152,
        False,
    )


def test_every_recipe_is_found_under_its_name_and_may_be_changed() -> None:
    for name, recipe in TOKENIZER_RECIPES.items():
        assert recipe.name == name
        assert derive(recipe, {"optimisation.steps": "7", "semantic.layer": "-3"}).semantic.layer == -3  # type: ignore
    changed = derive(DUALTOKEN, {"appearance.layers": "8,2", "image_size": "256", "semantic": "none"})
    assert changed.appearance is not None and changed.appearance.layers == (8, 2)
    assert changed.image_size == 256 and changed.semantic is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"semantic.quantizer.depth": "0"}, "QuantizerSpec.depth is 0: it must be one at least"),
        ({"semantic.quantizer.decay": "1"}, "decay is 1.0: it is a share"),
        ({"semantic.feature_weight": "-1"}, "feature_weight is -1.0: it must be a number from zero up"),
        ({"appearance.layers": "1"}, r"pre=shortcut adds two layers, but appearance.layers names \(1,\)"),
        ({"appearance.perceptual.layers": ""}, "names no hidden state to compare"),
        ({"optimisation.learning_rate": "0"}, "learning_rate is 0.0: it must be a number above zero"),
        ({"optimisation.betas": "0.5"}, r"betas is \(0.5,\): it must be two shares"),
        ({"crop": "0"}, "crop is 0.0: it is a share"),
        ({"appearance": "none", "semantic": "none"}, "has neither a semantic nor an appearance branch"),
        ({"semantic.post": "gelu"}, "choose one of none, linear"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_written(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        derive(TINY, changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"semantic.quantizer.width": "48"}, "semantic.pre=attention: .*width 128 to 48: one must divide the other"),
        ({"semantic.pre": "none"}, "semantic.pre=none, but its vectors are 128 wide on one side and 32 on the other"),
        ({"semantic.post": "shortcut"}, "semantic.post=shortcut: it adds two layers"),
        ({"semantic.pooled_weight": "1"}, "cannot pool patch features.*--set semantic.pooled_weight=0"),
        ({"semantic.layer": "9"}, "layer 9 of a vision tower with 5 hidden states"),
        ({"appearance.decoder.latent": "8"}, "decoder makes 64x64 pixels .*, the image processor 72x72"),
        ({"appearance.perceptual.backbone": ""}, "a perceptual loss needs a network to look with"),
        ({"semantic.contrastive_weight": "1"}, "contrastive loss needs the text tower"),
    ],
)
def test_what_does_not_fit_the_tower_is_refused_before_training(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_objective(derive(TINY, changes), seed=0)


def small(**changes: float) -> TokenizerOptimisation:
    return replace(TokenizerOptimisation(steps=30, warmup_steps=10, learning_rate=1.0), **changes)


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    rates = [learning_rate(small(), step) for step in range(30)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1 and rates[20] == pytest.approx(0.5) and 0 < rates[29] < 0.01


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Conv2d(2, 2, 3))
    optimiser = build_optimiser(model.parameters(), small())
    decayed, spared = optimiser.param_groups
    assert decayed["weight_decay"] == 1e-4 and spared["weight_decay"] == 0
    assert [one.ndim for one in decayed["params"]] == [2, 4] and {one.ndim for one in spared["params"]} == {1}


def test_a_batch_is_cut_into_equal_parts_or_refused() -> None:
    assert Layout(micro_batch=8).parts(32, 2) == 2 and Layout(micro_batch=64).parts(32, 2) == 1
    for batch, ranks in ((30, 4), (20, 1)):
        with pytest.raises(
            ValueError, match=f"a batch of {batch} pictures cannot be cut into micro-batches of 8 on {ranks}"
        ):
            Layout(micro_batch=8).parts(batch, ranks)


def test_equal_seeds_build_equal_networks_and_the_teacher_is_the_tower_that_was() -> None:
    first, second, third = (build_objective(TINY, seed=seed) for seed in (0, 0, 1))
    pairs = zip(first.trained().items(), second.trained().values(), strict=True)
    assert all(torch.equal(one, other) for (_, one), other in pairs)
    names = [name for name, one in first.trained().items() if not torch.equal(one, third.trained()[name])]
    assert names and not any(name.startswith("features.") for name in names)
    assert first.teacher is not None and first.teacher.tower is not first.features.tower
    frozen = replace(TINY, train_tower=False)
    assert isinstance(frozen, TokenizerRecipe)
    assert not any(name.startswith("features.") for name in build_objective(frozen, seed=0).trained())
