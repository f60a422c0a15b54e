"""Any recipe at laptop size: the same code path on the embedded world, with a stand-in for every part it names.

A stand-in lies under the name that the recipe calls the real part by, below one folder: `asvr.studies.stand_ins` makes
them there and says what each is.
"""

from dataclasses import replace
from pathlib import Path

from asvr.models.visual_input import AnyResInput, ContinuousInput, DiscreteInput, MultiScaleInput, VisualInput
from asvr.recipes.denoising import FLOP_MATCHED, PARAMETER_MATCHED
from asvr.recipes.optimisation import Optimisation
from asvr.recipes.spec import ModelSpec, Recipe, Share, Stage
from asvr.recipes.supervision import (
    CodesSpec,
    CosineSpec,
    DenoisingSpec,
    DepthTransformerSpec,
    FeaturesSpec,
    HeadSpec,
    LinearSpec,
    SupervisionSpec,
    TargetSpec,
)

EMBEDDED = {
    "lmsys/vicuna-7b-v1.5": "embedded:language-model",
    "meta-llama/Meta-Llama-3-8B-Instruct": "embedded:language-model",
    "google/siglip-so400m-patch14-384": "embedded:tower",
}
"""What ships with the package stands in for the paper's own tower, and for language models of Llama's class."""

CAPTIONS, QUESTIONS = "world-captions", "world-questions"
MORE_CAPTIONS, MORE_QUESTIONS = "world-more-captions", "world-more-questions"
MIDDLE = (Share(name=MORE_CAPTIONS),)

DATA: dict[str, tuple[Share, ...]] = {
    "llava-558k": (Share(name=CAPTIONS),),
    "llava-665k": (Share(name=QUESTIONS),),
    "llava-next-779k": (Share(name=QUESTIONS), Share(name=MORE_QUESTIONS, weight=0.057)),
    "bunny-laion-2m": (Share(name=CAPTIONS), Share(name=MORE_CAPTIONS, weight=1 / 3)),
    "bunny-2m": (Share(name=QUESTIONS), Share(name=MORE_QUESTIONS, weight=1 / 3)),
    "recap-558k": MIDDLE,
    "recap-118k": MIDDLE,
    "recap-cc3m": MIDDLE,
    "ureader-text": MIDDLE,
    "evol-instruct-143k": MIDDLE,
    "synthdog-en": MIDDLE,
    "synthdog-zh": MIDDLE,
    "onevision-4m": (Share(name=QUESTIONS), Share(name=MORE_QUESTIONS, weight=1 / 3)),
}
"""Shares of the world's data in place of a data set, by its name; those of a stage are joined, each taken once.

The first sets have 1,000 records, in place of 558 K captions and 665 K conversations, the additional ones 3,000.
So 779 K are 1,171, as many as in proportion; 2 M and 4 M are 2,000, fewer; the middle stage has 3,000 captions."""

HEADS: dict[HeadSpec, HeadSpec] = {
    DepthTransformerSpec(): DepthTransformerSpec(width=128, num_layers=1, head_width=64),
    LinearSpec(): LinearSpec(width=128),
    DenoisingSpec(): DenoisingSpec(width=32, num_layers=1, num_heads=4),
    PARAMETER_MATCHED: DenoisingSpec(width=48, num_layers=10, num_heads=4),
    FLOP_MATCHED: DenoisingSpec(width=32, num_layers=8, num_heads=4),
    CosineSpec(): CosineSpec(width=32),
}
"""Small heads whose sizes are to the small depth head as the real ones are to the real one: a tenth of its parameters,
as many parameters, as many forward FLOPs, a fiftieth; the linear one has the small depth head's trunk."""

RATES = {"pretrain": 2.0, "middle": 50.0, "instruct": 50.0}
"""By how much learning rates grow, stage by stage: small models need larger ones."""

EPOCHS = {"pretrain": 1.0, "middle": 1.0, "instruct": 2.5}
BATCH_SIZE = 16
NUM_LAYERS = {"real": 32, "tiny": 4}
"""Blocks of the paper's language model and of the embedded one, between which the index of a layer is translated."""


def shrink(recipe: Recipe, parts: Path) -> Recipe:
    """Gives the recipe of the same code path at laptop size.

    Args:
        recipe: A recipe at real size.
        parts: Folder of the stand-ins.

    Raises:
        ValueError: If the recipe names a data set or a head that has no stand-in, or is small already.
    """
    if recipe.model.language_model in EMBEDDED.values():
        raise ValueError(f"recipe {recipe.name!r} is at laptop size already: leave out --tiny")
    return replace(
        recipe,
        name=f"tiny-{recipe.name}",
        source=f"{recipe.name} at laptop size",
        model=_model(recipe.model, parts),
        precision="fp32",
        stages=tuple(_stage(stage, recipe.model, parts) for stage in recipe.stages),
    )


def _model(model: ModelSpec, parts: Path) -> ModelSpec:
    return replace(
        model,
        language_model=EMBEDDED.get(model.language_model, str(parts / model.language_model)),
        vision_tower=EMBEDDED.get(model.vision_tower, str(parts / model.vision_tower)),
        visual_input=_visual_input(model.visual_input, parts),
    )


def _visual_input(visual_input: VisualInput, parts: Path) -> VisualInput:
    match visual_input:
        case DiscreteInput():
            return replace(visual_input, tokenizer=str(parts / visual_input.tokenizer))
        case AnyResInput():
            return AnyResInput(tiles=("1x2", "2x1", "2x2"))
        case ContinuousInput() | MultiScaleInput():
            return visual_input


def _stage(stage: Stage, model: ModelSpec, parts: Path) -> Stage:
    return replace(
        stage,
        mixture=_mixture(stage),
        template="plain" if stage.template == "plain" else "mistral",
        optimisation=_optimisation(stage),
        supervision={name: _supervision(spec, parts) for name, spec in stage.supervision.items()},
        adapter=stage.adapter and replace(stage.adapter, rank=8, alpha=8 * stage.adapter.alpha // stage.adapter.rank),
        max_length=1024 if isinstance(model.visual_input, AnyResInput) else 512,
        gradient_checkpointing=False,
    )


def _mixture(stage: Stage) -> tuple[Share, ...]:
    unknown = [share.name for share in stage.mixture if share.name not in DATA]
    if unknown:
        raise ValueError(
            f"no data of the embedded world stands in for {', '.join(unknown)}: add it to DATA in shrink.py"
        )
    shares = [each for share in stage.mixture for each in DATA[share.name]]
    return tuple(dict.fromkeys(shares))


def _optimisation(stage: Stage) -> Optimisation:
    real, rate = stage.optimisation, RATES[stage.name]
    groups = tuple(replace(group, learning_rate=rate * group.learning_rate) for group in real.groups)
    return replace(
        real,
        batch_size=BATCH_SIZE,
        learning_rate=rate * real.learning_rate,
        groups=groups,
        epochs=EPOCHS[stage.name] * real.epochs,
    )


def _supervision(spec: SupervisionSpec, parts: Path) -> SupervisionSpec:
    if spec.head not in HEADS:
        raise ValueError(f"no small head stands in for {spec.head}: add it to HEADS in asvr/recipes/shrink.py")
    layer = spec.layer if spec.layer < 0 else round(spec.layer * NUM_LAYERS["tiny"] / NUM_LAYERS["real"])
    return replace(spec, target=_target(spec.target, parts), head=HEADS[spec.head], layer=layer)


def _target(target: TargetSpec, parts: Path) -> TargetSpec:
    match target:
        case CodesSpec():
            # A cache needs no stand-in: it would hold what the tokenizer's stand-in computes.
            return replace(target, tokenizer=str(parts / target.tokenizer), cache=None)
        case FeaturesSpec():
            return replace(target, folder=str(parts / target.folder))
