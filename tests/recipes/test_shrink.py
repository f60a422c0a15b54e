"""Every recipe at laptop size: the sizes it gets, and that it trains what it says in all of its stages."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from asvr.derive import derive, recipe_hash
from asvr.heads.denoising import DenoisingHead
from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.diffusion_transformer import DiffusionTransformer
from asvr.recipes import RECIPES
from asvr.recipes.denoising import FLOP_MATCHED, PARAMETER_MATCHED
from asvr.recipes.derive import tokenizer_changes
from asvr.recipes.shrink import HEADS, shrink
from asvr.recipes.spec import Recipe, Stage
from asvr.recipes.supervision import DenoisingSpec, HeadSpec, LinearSpec
from asvr.studies.footnotes import deviations
from asvr.studies.stand_in_data import Scale, stand_in_data
from asvr.studies.stand_ins import make_stand_ins
from asvr.training.run import run_recipe
from asvr.training.stage import Machine, build_objective

REAL = [recipe for recipe in RECIPES.values() if not recipe.name.startswith("tiny-")]
SMALL = Scale(train=6, more=9, unlabelled=24, test=2, tower_steps=1, autoencoder_steps=1, depth=3, num_codes=16)
PARTS = Path("/parts")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("stand-ins")
    make_stand_ins([shrink(recipe, folder) for recipe in REAL], folder, scale=SMALL)
    # The Trainer collects garbage at every end of training, and the libraries' objects would take it most of the time.
    gc.freeze()
    yield folder
    gc.unfreeze()


def quick(stage: Stage) -> Stage:
    """Three steps or more, at a rate above zero: a zero-initialised denoiser reaches its inner weights in the third."""
    return replace(stage, optimisation=replace(stage.optimisation, batch_size=2, epochs=1.0, warmup_ratio=0.0))


@pytest.mark.parametrize(("name", "tiny"), [("llava-vicuna-7b", "tiny-llava"), ("asvr-vicuna-7b", "tiny-asvr")])
def test_the_main_rows_shrink_to_the_tiny_recipes(name: str, tiny: str) -> None:
    shrunk, known = shrink(RECIPES[name], PARTS), RECIPES[tiny]
    known = derive(known, tokenizer_changes(known, PARTS / "tokenizers" / "siglip-so400m"))
    assert recipe_hash(shrunk) == recipe_hash(known)


@pytest.mark.parametrize(
    ("change", "tiny"), [({"fraction": 0.25}, "tiny-asvr-quarter"), ({"head": LinearSpec()}, "tiny-asvr-linear")]
)
def test_cheaper_supervision_shrinks_to_its_tiny_recipes(change: dict, tiny: str) -> None:
    recipe = RECIPES["asvr-vicuna-7b"]
    stages = [
        replace(stage, supervision={"semantic": replace(stage.supervision["semantic"], **change)})
        for stage in recipe.stages
    ]
    known = derive(RECIPES[tiny], tokenizer_changes(RECIPES[tiny], PARTS / "tokenizers" / "siglip-so400m"))
    assert recipe_hash(shrink(replace(recipe, stages=tuple(stages)), PARTS)) == recipe_hash(known)


def test_a_recipe_that_is_small_is_refused() -> None:
    with pytest.raises(ValueError, match="'tiny-asvr' is at laptop size already: leave out --tiny"):
        shrink(RECIPES["tiny-asvr"], PARTS)


def test_what_has_no_stand_in_is_named() -> None:
    recipe = RECIPES["asvr-vicuna-7b"]
    wide = derive(recipe, {"stages.instruct.supervision.semantic.head.width": "64"})
    with pytest.raises(ValueError, match=r"no small head stands in for DepthTransformerSpec\(width=64.*HEADS"):
        shrink(wide, PARTS)


def test_head_sizes_are_matched_to_the_small_depth_head() -> None:
    """As at real size: ROSS's own head has 8.7 % of the parameters, the matched ones as many, or as many FLOPs."""
    with torch.device("meta"):
        depth = DepthTransformer(128, torch.zeros(4, 128, 128), width=128, num_layers=1, head_width=64)
        heads = {real: denoiser(HEADS[real]) for real in (DenoisingSpec(), PARAMETER_MATCHED, FLOP_MATCHED)}
    parameters = {real: count(head) / count(depth) for real, head in heads.items()}
    flops = {real: head.flops_per_token() / depth.flops_per_token() for real, head in heads.items()}
    assert 0.07 < parameters[DenoisingSpec()] < 0.11
    assert parameters[PARAMETER_MATCHED] == pytest.approx(1, abs=0.05)
    assert flops[FLOP_MATCHED] == pytest.approx(1, abs=0.05)


def denoiser(spec: HeadSpec) -> DenoisingHead:
    """A small denoiser over the small autoencoder's latents."""
    assert isinstance(spec, DenoisingSpec)
    sizes = {"width": spec.width, "num_layers": spec.num_layers, "num_heads": spec.num_heads}
    return DenoisingHead(DiffusionTransformer(128, 64, (6, 6), mlp_ratio=spec.mlp_ratio, **sizes), spec.repeats)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_deviation_is_listed() -> None:
    """The text-only row changes data, models, template, rates, batches, epochs, lengths and precision, nothing else."""
    recipe = RECIPES["llava-mistral-7b"]
    notes = deviations(recipe, shrink(recipe, PARTS), PARTS)
    assert "vision_tower: embedded:tower for google/siglip-so400m-patch14-384" in notes
    assert "instruct learning_rate: 0.001 for 2e-05" in notes
    assert "instruct mixture: world-questions for llava-665k" in notes
    assert any(note.startswith("mistralai/Mistral-7B-Instruct-v0.2: a stock Mistral") for note in notes)
    fields = {note.split(":")[0].split()[-1] for note in notes}
    models = {"mistralai/Mistral-7B-Instruct-v0.2", "vision_tower", "precision"}
    stages = {"mixture", "batch_size", "learning_rate", "epochs", "max_length", "gradient_checkpointing"}
    assert fields == models | stages


def test_heads_and_targets_are_named_once() -> None:
    recipe = RECIPES["asvr-vicuna-7b"]
    own = set(deviations(recipe, shrink(recipe, PARTS), PARTS))
    base = RECIPES["llava-vicuna-7b"]
    assert own - set(deviations(base, shrink(base, PARTS), PARTS)) == {
        "tokenizers/siglip-so400m: 4 x 128 codes of the embedded tower's features, by k-means",
        "head: DepthTransformerSpec(width=128, num_layers=1, head_width=64) for "
        "DepthTransformerSpec(width=2048, num_layers=3, head_width=128)",
    }


def test_codes_that_are_not_read_from_a_cache_are_named() -> None:
    recipe = RECIPES["appearance-vicuna-7b"]
    notes = deviations(recipe, shrink(recipe, PARTS), PARTS)
    assert notes.count("codes are computed in every step, not read from a cache") == 1


def test_targets_keep_their_tower() -> None:
    """One tower or a second one, as the real recipe has it."""
    for recipe in REAL:
        for stage, small in zip(recipe.stages, shrink(recipe, PARTS).stages, strict=True):
            own = {name: term.target.own_tower for name, term in stage.supervision.items()}
            assert {name: term.target.own_tower for name, term in small.supervision.items()} == own


@pytest.mark.parametrize("recipe", REAL, ids=lambda recipe: recipe.name)
def test_a_shrunk_recipe_trains_exactly_its_trainable_parameters(recipe: Recipe, parts: Path, tmp_path: Path) -> None:
    tiny = shrink(recipe, parts)
    tiny = replace(tiny, stages=tuple(quick(stage) for stage in tiny.stages))
    run_recipe(tiny, tmp_path, data=stand_in_data(tiny, parts), machine=Machine(progress=False))
    previous = None
    for stage in tiny.stages:
        before, after = (state(tiny, stage, folder) for folder in (previous, tmp_path / stage.name))
        moved = {name for name in after if not torch.equal(before[name], after[name])}
        assert moved == {name for name in after if name.startswith(prefixes(stage)) and ".target." not in name}
        previous = tmp_path / stage.name


def state(recipe: Recipe, stage: Stage, previous: Path | None) -> dict[str, Tensor]:
    """Parameters of a stage's objective as a folder holds them; adapters are merged when a stage is saved."""
    objective, _ = build_objective(recipe, replace(stage, adapter=None), previous, seed=0)
    return dict(objective.named_parameters())


def prefixes(stage: Stage) -> tuple[str, ...]:
    """What trains: as named, and under adapters the linear layers of the language model's four blocks."""
    names = ("q", "k", "v", "o", "gate", "up", "down")
    layers = [f"{block}.{each}_proj." for block in ("self_attn", "mlp") for each in names]
    adapted = [f"vlm.model.language_model.layers.{number}.{layer}" for number in range(4) for layer in layers]
    return (*stage.trainable, *(adapted if stage.adapter else ()))
