"""Where every recipe's targets come from: none runs a second tower for codes, and what is compared is made alike."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from asvr.models.visual_input import AnyResInput, ContinuousInput, DiscreteInput
from asvr.planning.nominal import CODES, CONTINUOUS
from asvr.planning.parameters import has_no_tower
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import CodesSpec, SupervisionSpec
from asvr.recipes.tables import TABLES
from asvr.targets.sources import TowerSpec

# Continuous targets have no cache: 729 x 1152 numbers of a picture are 3.4 MB, its codes 11.7 KB.
A_NETWORK_OF_THEIR_OWN = {
    "targets/vae": "ROSS reconstructs an autoencoder's latents",
    "targets/dinov2": "VIRAL aligns with another tower than the model's",
}
TOWER = "vlm.model.vision_tower."


def terms(recipe: Recipe) -> Iterator[tuple[Stage, str, SupervisionSpec]]:
    for stage in recipe.stages:
        for name, term in stage.supervision.items():
            yield stage, name, term


def codes(recipe: Recipe) -> dict[str, CodesSpec]:
    """The targets of a recipe's visual losses over codes, by name: the same in every stage that has them."""
    found = {(name, term.target) for _, name, term in terms(recipe) if isinstance(term.target, CodesSpec)}
    assert len({name for name, _ in found}) == len(found), recipe.name
    return dict(found)


def test_no_second_tower_runs() -> None:
    """`has_no_tower` is held against real steps in tests/planning."""
    targets = {term.target for recipe in RECIPES.values() for _, _, term in terms(recipe)}
    second = {target.folder for target in targets if not has_no_tower(target)}
    assert second == A_NETWORK_OF_THEIR_OWN.keys() and second <= CONTINUOUS.keys()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_tower_that_gives_targets_is_the_model_s_own_and_stands_still(recipe: Recipe) -> None:
    """What `check_stage` refuses before training, of the shapes that folders' names stand for."""
    for stage, _, term in terms(recipe):
        if not term.target.own_tower:
            continue
        source = CODES[term.target.folder].features if term.target.folder in CODES else CONTINUOUS[term.target.folder]
        assert isinstance(source, TowerSpec)
        assert (source.model, source.layer) == (recipe.model.vision_tower, recipe.model.feature_layer)
        # With several scales the tower sees no picture as a tokenizer of one scale does.
        assert isinstance(recipe.model.visual_input, (ContinuousInput, DiscreteInput, AnyResInput))
        assert not any(prefix.startswith(TOWER) or TOWER.startswith(prefix) for prefix in stage.trainable)


def test_a_cache_serves_one_tokenizer_and_is_named_after_it() -> None:
    cached = {target.cache: target.tokenizer for recipe in RECIPES.values() for target in codes(recipe).values()}
    assert {store: name for store, name in cached.items() if store} == {
        f"targets/{name}": f"tokenizers/{name}" for name in ("siglip-so400m", "appearance", "dinov3", "depth-anything")
    }


def test_arms_that_are_compared_get_their_codes_in_the_same_way() -> None:
    """Cached codes are of fp32 features and a bf16 run's own are of bf16 ones, so no claim may mix them unsaid."""
    compared = set()
    for table in TABLES.values():
        for claim in table.claims:
            arm, baseline = (codes(RECIPES[table.row(label).recipe]) for label in (claim.arm, claim.baseline))
            if arm and baseline:
                ways = [{target.reads_tower for target in targets.values()} for targets in (arm, baseline)]
                compared.add((table.number, claim.arm, claim.baseline, ways[0] == ways[1]))
                # What both reconstruct, if anything, differs in the tokenizer alone.
                for name in arm.keys() & baseline.keys():
                    assert replace(arm[name], tokenizer="") == replace(baseline[name], tokenizer="")
    # Dual supervision adds codes of another layer than the model reads to the very codes of ASVR.
    assert compared == {
        (1, "ASVR", "dual", False),
        (8, "ASVR", "tokenizer of 3M", True),
        (8, "ASVR", "tuning only", True),
        (9, "SigLIP2, ASVR", "SigLIP, ASVR", True),
        (10, "SigLIP", "DINOv3", True),
        (10, "SigLIP", "Depth Anything", True),
    }
