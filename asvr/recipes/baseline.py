"""The text-only baseline and ASVR on it, at real size: the two rows that every other varies (Table 1)."""

from collections.abc import Collection
from dataclasses import replace

from asvr.recipes.optimisation import Optimisation
from asvr.recipes.spec import ModelSpec, Recipe, Share, Stage
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, SupervisionSpec

PROJECTOR = "vlm.model.multi_modal_projector."
LANGUAGE_MODEL = ("vlm.model.language_model.", "vlm.lm_head.")
HEADS = "supervision."

BASELINE = Recipe(
    name="llava-vicuna-7b",
    source="arXiv 2506.09040, Table 1, SigLIP, LLaVA without visual loss; hyper-parameters of the release's scripts",
    model=ModelSpec(language_model="lmsys/vicuna-7b-v1.5", vision_tower="google/siglip-so400m-patch14-384"),
    precision="bf16",
    stages=(
        Stage(
            name="pretrain",
            mixture=(Share(name="llava-558k"),),
            template="plain",
            trainable=(PROJECTOR,),
            optimisation=Optimisation(batch_size=256, learning_rate=1e-3),
            gradient_checkpointing=True,
        ),
        Stage(
            name="instruct",
            mixture=(Share(name="llava-665k"),),
            template="vicuna_v1",
            trainable=(PROJECTOR, *LANGUAGE_MODEL),
            optimisation=Optimisation(batch_size=128, learning_rate=2e-5),
            gradient_checkpointing=True,
        ),
    ),
)

SEMANTIC = {
    "semantic": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/siglip-so400m", own_tower=True), head=DepthTransformerSpec()
    )
}
"""Codes of the features that the model's own frozen tower computes anyway, so that no second tower runs.

A tokenizer whose own tower has trained (`asvr tokenizer train vq-siglip-12m`) is refused by its weights: it takes
`target.own_tower=false`, and a cache of its codes.
"""


def supervised(
    recipe: Recipe,
    supervision: dict[str, SupervisionSpec],
    *,
    name: str,
    source: str,
    stages: Collection[str] = ("pretrain", "middle", "instruct"),
) -> Recipe:
    """Adds visual losses to stages of a text-only recipe, by default to all, and lets their heads train there."""

    def added(stage: Stage) -> Stage:
        if stage.name not in stages:
            return stage
        return replace(stage, supervision=supervision, trainable=(*stage.trainable, HEADS))

    return replace(recipe, name=name, source=source, stages=tuple(added(stage) for stage in recipe.stages))


ASVR = supervised(
    BASELINE,
    SEMANTIC,
    name="asvr-vicuna-7b",
    source="arXiv 2506.09040, Table 1, SigLIP, ASVR with semantic supervision; next-token alignment of Eq. 2",
)

ROWS = (
    BASELINE,
    ASVR,
    replace(
        ASVR,
        name="asvr-vicuna-7b-same",
        source="as asvr-vicuna-7b, with the alignment that the authors' release computes (asvr_arch.py:337)",
        alignment="same",
    ),
)
