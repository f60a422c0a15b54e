"""Table 4's rivals: their sizes beside ASVR's, what they differ in, and what cannot be combined."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from asvr.heads.denoising import DenoisingHead
from asvr.heads.depth_transformer import DepthTransformer
from asvr.models.build import Vlm
from asvr.models.visual_input import AnyResInput
from asvr.objective import Objective
from asvr.planning.outline import outline, outline_objective
from asvr.recipes import RECIPES
from asvr.recipes.data_scale import NEXT
from asvr.recipes.denoising import ROWS
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import (
    CodesSpec,
    CosineSpec,
    DenoisingSpec,
    DepthTransformerSpec,
    FeaturesSpec,
    HeadSpec,
    SupervisionSpec,
    TargetSpec,
)
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.sources import LatentSpec
from asvr.targets.towers import TowerFeatures
from asvr.training.freeze import set_trainable
from tests.targets.checkpoints import write_autoencoder


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ContinuousTargets]:
    """Of the published widths and grids: FLUX.1's latents, 2x2 of 16 channels, and SigLIP So400m's features."""
    folder = write_autoencoder(tmp_path_factory.mktemp("vae"), levels=4, latent_channels=16)
    config = SiglipVisionConfig(hidden_size=1152, num_attention_heads=16, image_size=384, patch_size=14)
    with torch.device("meta"):
        tower = SiglipVisionModel(config)
    siglip = TowerFeatures(tower, SiglipImageProcessorPil(size={"height": 384, "width": 384}))
    return {"vae": ContinuousTargets(LatentSpec(str(folder)).build()), "siglip": ContinuousTargets(siglip)}


@pytest.fixture(scope="module")
def depth_head() -> DepthTransformer:
    """The paper's, at Vicuna-7B's width."""
    with torch.device("meta"):
        return DepthTransformer(4096, torch.zeros(8, 16384, 1152))


def built(recipe: Recipe, target: ContinuousTargets) -> DenoisingHead:
    (term,) = recipe.stages[-1].supervision.values()
    with torch.device("meta"):
        head = term.head.build(4096, target)
    assert isinstance(head, DenoisingHead)
    return head


def parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize(
    ("kind", "channels", "native_size"), [("vae", 64, 64_408_640), ("siglip", 1152, 64_408_640 + 1088 * (2 * 1024 + 1))]
)
def test_the_matched_heads_have_asvr_s_size_or_cost(
    kind: str, channels: int, native_size: int, targets: dict[str, ContinuousTargets], depth_head: DepthTransformer
) -> None:
    target, name = targets[kind], f"ross-{kind}-next-vicuna-7b"
    assert (target.channels, target.grid) == (channels, (27, 27))
    # As in tests/heads, and 1088 more channels into the transformer and out of it.
    assert parameters(built(RECIPES[name], target)) == native_size
    matched = built(RECIPES[f"{name}-parameter-matched"], target)
    assert parameters(matched) == pytest.approx(parameters(depth_head), rel=0.005)
    as_costly = built(RECIPES[f"{name}-flop-matched"], target)
    assert as_costly.flops_per_token() == pytest.approx(depth_head.flops_per_token(), rel=0.01)


SIZES = {
    "ross-vae-next-vicuna-7b": 64_408_640,
    "ross-vae-next-vicuna-7b-parameter-matched": 736_304_704,
    "ross-vae-next-vicuna-7b-flop-matched": 268_910_656,
    "ross-siglip-next-vicuna-7b": 66_637_952,
    "ross-siglip-next-vicuna-7b-parameter-matched": 739_648_128,
    "ross-siglip-next-vicuna-7b-flop-matched": 272_254_080,
    "viral-next-vicuna-7b": 14_160_640,
}
"""Parameters of each row's head, as docs/denoising.md has them; their formulas are tested in tests/heads."""


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    """The rows' model at its real size, without weights."""
    return outline(NEXT.model)


@pytest.mark.parametrize("recipe", ROWS, ids=lambda recipe: recipe.name)
def test_a_row_trains_its_head_and_what_the_text_only_row_trains(
    recipe: Recipe, vlm: Vlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Folders of the targets' names may lie beside the tests of one who uses the package.
    monkeypatch.chdir(tmp_path)
    for stage, text_only in zip(recipe.stages, NEXT.stages, strict=True):
        whole = set_trainable(Objective(vlm, {}), text_only.trainable)
        trained = set_trainable(outline_objective(recipe, stage, vlm), stage.trainable)
        assert trained == whole | ({"supervision.": SIZES[recipe.name]} if stage.supervision else {})
        assert not any(parameter.requires_grad for parameter in vlm.model.vision_tower.parameters())
    assert recipe.model == NEXT.model and recipe.stages[1].supervision


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("ross-")])
def test_ross_differs_from_asvr_in_its_visual_loss_alignment_and_rate(name: str) -> None:
    ours, asvr = RECIPES[name], RECIPES["asvr-next-vicuna-7b"]
    assert ours.alignment == "same" and ours.model == asvr.model and ours.precision == asvr.precision
    for stage, theirs in zip(ours.stages, asvr.stages, strict=True):
        (term,) = stage.supervision.values()
        assert (term.weight, term.layer, term.head.repeats) == (1.0, -1, 4)
        optimisation = replace(stage.optimisation, groups=())
        assert replace(stage, supervision=theirs.supervision, optimisation=optimisation) == theirs
    # ROSS's scripts for SigLIP: the denoiser at 1e-4 beside the projector's 1e-3, then 2e-5 for all.
    (group,), none = (stage.optimisation.groups for stage in ours.stages)
    assert (group.prefix, group.learning_rate, none) == ("supervision.", 1e-4, ())
    assert ours.stages[1].optimisation.learning_rate == 2e-5


def test_viral_has_its_release_s_values() -> None:
    # cvlab-kaist/VIRAL, config.json: target_layers [16], vra_weight 0.5, projector_dim 2048; LoRA scripts alone.
    viral, text_only = RECIPES["viral-next-vicuna-7b"], RECIPES["llava-next-vicuna-7b"]
    assert viral.stages[0] == text_only.stages[0] and viral.alignment == "same"
    (term,) = viral.stages[1].supervision.values()
    assert (term.layer, term.weight, term.head) == (16, 0.5, CosineSpec(width=2048))
    assert viral.stages[1].trainable == (*text_only.stages[1].trainable, "supervision.")


CODES, FEATURES = CodesSpec(tokenizer="a"), FeaturesSpec(folder="b")


@pytest.mark.parametrize(
    ("target", "head", "said"),
    [
        (
            FEATURES,
            DepthTransformerSpec(),
            "b gives features, but DepthTransformerSpec reconstructs codes: use Denoisi",
        ),
        (CODES, DenoisingSpec(), "a gives codes, but DenoisingSpec reconstructs features: use DepthTransformerSpec"),
        (CODES, CosineSpec(), "a gives codes, but CosineSpec reconstructs features: .* a target that gives features"),
    ],
)
def test_a_head_over_another_kind_of_target_is_refused(target: TargetSpec, head: HeadSpec, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SupervisionSpec(target=target, head=head)


def test_sizes_that_make_no_head_are_refused() -> None:
    with pytest.raises(ValueError, match=r"width 1000 with 16 attention head\(s\).*head.width or head.num_heads"):
        DenoisingSpec(width=1000)
    with pytest.raises(ValueError, match="repeats 0: each must be one at least"):
        DenoisingSpec(repeats=0)
    with pytest.raises(ValueError, match="cosine head of width 0"):
        CosineSpec(width=0)


def test_a_denoising_head_over_crops_is_refused() -> None:
    ross, viral = RECIPES["ross-vae-next-vicuna-7b"], RECIPES["viral-next-vicuna-7b"]
    crops = AnyResInput(tiles=("1x2", "2x2"))
    with pytest.raises(
        ValueError, match=r"reconstructs one grid of visual tokens, but AnyResInput has another .*: use"
    ):
        replace(ross, model=replace(ross.model, visual_input=crops))
    # A head that sees each visual token alone does not mind.
    replace(viral, model=replace(viral.model, visual_input=crops))
