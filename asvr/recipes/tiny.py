"""The same rows at laptop size, on the embedded world's tower and language model or on your own."""

from dataclasses import replace

from asvr.recipes.baseline import BASELINE, supervised
from asvr.recipes.optimisation import Optimisation
from asvr.recipes.spec import ModelSpec, Recipe, Share
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, LinearSpec, SupervisionSpec

PRETRAIN, INSTRUCT = BASELINE.stages

TINY = replace(
    BASELINE,
    name="tiny-llava",
    source="llava-vicuna-7b at laptop size",
    model=ModelSpec(language_model="embedded:language-model", vision_tower="embedded:tower"),
    precision="fp32",
    stages=(
        replace(
            PRETRAIN,
            mixture=(Share(name="world-captions"),),
            optimisation=Optimisation(batch_size=16, learning_rate=2e-3),
            max_length=512,
            gradient_checkpointing=False,
        ),
        replace(
            INSTRUCT,
            mixture=(Share(name="world-questions"),),
            template="mistral",
            optimisation=Optimisation(batch_size=16, learning_rate=1e-3, epochs=2.5),
            max_length=512,
            gradient_checkpointing=False,
        ),
    ),
)

SEMANTIC = {
    "semantic": SupervisionSpec(
        target=CodesSpec(tokenizer="runs/tokenizer", own_tower=True),
        head=DepthTransformerSpec(width=128, num_layers=1, head_width=64),
    )
}

TINY_ASVR = supervised(TINY, SEMANTIC, name="tiny-asvr", source="asvr-vicuna-7b at laptop size")

QUARTER = {"semantic": replace(SEMANTIC["semantic"], fraction=0.25)}
LINEAR = {"semantic": replace(SEMANTIC["semantic"], head=LinearSpec(width=128))}


def with_unlabelled(recipe: Recipe, *, name: str, source: str, companions: int = 1) -> Recipe:
    """Lets unlabelled pictures ride along with every conversation of every stage."""
    return replace(
        recipe,
        name=name,
        source=source,
        stages=tuple(replace(stage, companions=companions) for stage in recipe.stages),
    )


ROWS = (
    TINY,
    TINY_ASVR,
    replace(TINY_ASVR, name="tiny-asvr-same", source="tiny-asvr with the release's alignment", alignment="same"),
    with_unlabelled(
        TINY_ASVR,
        name="tiny-asvr-unlabelled",
        source="tiny-asvr with one unlabelled picture beside each conversation, which only ASVR can use",
    ),
    supervised(
        TINY,
        QUARTER,
        name="tiny-asvr-quarter",
        source="tiny-asvr with a quarter of the visual tokens supervised, drawn anew in every step",
    ),
    supervised(
        TINY,
        LINEAR,
        name="tiny-asvr-linear",
        source="tiny-asvr with a lighter head: linear classifiers, each depth without knowing the shallower ones",
    ),
)
