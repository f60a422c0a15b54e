"""Another way to supervise what is seen: ROSS's denoising (Table 4) and VIRAL's alignment, on the data of Table 4.

The paper gives neither layer nor normalisation of the SigLIP features that ROSS reconstructs in its second variant, nor
any size. Here they are the features that enter the projector, standardised per channel, and the size is ROSS's own. It
leaves a head a tenth of ASVR's: the matched rows enlarge it to the parameters, or to the forward FLOPs, of the depth
head, in ROSS's largest width.

Both rivals score a visual token's own state (`alignment="same"`), as their releases do. ROSS's denoiser descends at
1e-4 in pre-training, as its scripts for SigLIP have it. VIRAL starts from LLaVA's pre-trained projector and aligns in
instruction tuning alone (`scripts/v1_5/finetune_lora.sh`), there with LoRA, here with all weights as the other rows.
"""

from dataclasses import replace

from asvr.recipes.baseline import HEADS, supervised
from asvr.recipes.data_scale import NEXT
from asvr.recipes.optimisation import ParameterGroup
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CosineSpec, DenoisingSpec, FeaturesSpec, SupervisionSpec

DENOISER_RATE = ParameterGroup(name="heads", prefix=HEADS, learning_rate=1e-4)

LATENTS = {"appearance": SupervisionSpec(target=FeaturesSpec(folder="targets/vae"), head=DenoisingSpec())}

FEATURES = {
    "semantic": SupervisionSpec(target=FeaturesSpec(folder="targets/siglip", own_tower=True), head=DenoisingSpec())
}

ALIGNED = {
    "semantic": SupervisionSpec(target=FeaturesSpec(folder="targets/dinov2"), head=CosineSpec(), weight=0.5, layer=16)
}


def ross(supervision: dict[str, SupervisionSpec], *, name: str, source: str) -> Recipe:
    """Makes ROSS of the text-only recipe: its visual loss in both stages, at its own rate in the first."""
    recipe = supervised(NEXT, supervision, name=name, source=source)
    pretrain, instruct = recipe.stages
    slower = replace(pretrain, optimisation=replace(pretrain.optimisation, groups=(DENOISER_RATE,)))
    return replace(recipe, stages=(slower, instruct), alignment="same")


def resized(recipe: Recipe, head: DenoisingSpec, *, name: str, source: str) -> Recipe:
    """Gives every visual loss of a recipe a denoising head of another size."""
    stages = tuple(
        replace(stage, supervision={key: replace(term, head=head) for key, term in stage.supervision.items()})
        for stage in recipe.stages
    )
    return replace(recipe, name=name, source=source, stages=stages)


PARAMETER_MATCHED = DenoisingSpec(width=1536, num_layers=17)
FLOP_MATCHED = DenoisingSpec(width=1536, num_layers=6)

ROSS_VAE = ross(
    LATENTS,
    name="ross-vae-next-vicuna-7b",
    source="arXiv 2506.09040, Table 4, ROSS with VAE latents; sizes of ROSS's release (arXiv 2410.09575)",
)
ROSS_SIGLIP = ross(
    FEATURES,
    name="ross-siglip-next-vicuna-7b",
    source="arXiv 2506.09040, Table 4, ROSS with SigLIP features; layer -2 and standardisation are ours",
)
VIRAL = replace(
    supervised(
        NEXT,
        ALIGNED,
        name="viral-next-vicuna-7b",
        source="beyond the paper: VIRAL (arXiv 2509.07979), DINOv2 features at layer 16 with weight 0.5, as released",
        stages=("instruct",),
    ),
    alignment="same",
)

ROWS = (
    ROSS_VAE,
    resized(
        ROSS_VAE,
        PARAMETER_MATCHED,
        name="ross-vae-next-vicuna-7b-parameter-matched",
        source="as ross-vae-next-vicuna-7b, with a head of as many parameters as ASVR's",
    ),
    resized(
        ROSS_VAE,
        FLOP_MATCHED,
        name="ross-vae-next-vicuna-7b-flop-matched",
        source="as ross-vae-next-vicuna-7b, with a head of as many forward FLOPs as ASVR's, its four draws included",
    ),
    ROSS_SIGLIP,
    resized(
        ROSS_SIGLIP,
        PARAMETER_MATCHED,
        name="ross-siglip-next-vicuna-7b-parameter-matched",
        source="as ross-siglip-next-vicuna-7b, with a head of as many parameters as ASVR's",
    ),
    resized(
        ROSS_SIGLIP,
        FLOP_MATCHED,
        name="ross-siglip-next-vicuna-7b-flop-matched",
        source="as ross-siglip-next-vicuna-7b, with a head of as many forward FLOPs as ASVR's, its four draws included",
    ),
    VIRAL,
)
