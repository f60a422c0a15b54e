"""The text-only baseline and ASVR on it, at real size: the two rows that every other varies (Table 1)."""

from dataclasses import replace

from asvr.recipes.spec import CodesSpec, DepthTransformerSpec, ModelSpec, Optimisation, Recipe, Stage, SupervisionSpec

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
            data="LLaVA-558K (blip_laion_cc_sbu_558k.json)",
            template="plain",
            trainable=(PROJECTOR,),
            optimisation=Optimisation(batch_size=256, learning_rate=1e-3),
            gradient_checkpointing=True,
        ),
        Stage(
            name="instruct",
            data="LLaVA-1.5-665K (llava_v1_5_mix665k.json)",
            template="vicuna_v1",
            trainable=(PROJECTOR, *LANGUAGE_MODEL),
            optimisation=Optimisation(batch_size=128, learning_rate=2e-5),
            gradient_checkpointing=True,
        ),
    ),
)

SEMANTIC = {
    "semantic": SupervisionSpec(target=CodesSpec(tokenizer="tokenizers/siglip-so400m"), head=DepthTransformerSpec())
}


def supervised(recipe: Recipe, supervision: dict[str, SupervisionSpec], *, name: str, source: str) -> Recipe:
    """Adds visual losses to every stage of a text-only recipe, and lets their heads train."""
    stages = tuple(
        replace(stage, supervision=supervision, trainable=(*stage.trainable, HEADS)) for stage in recipe.stages
    )
    return replace(recipe, name=name, source=source, stages=stages)


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
