"""Low-rank adapters in place of tuning the whole language model, with LLaVA-1.5's sizes and rates, beyond the paper.

Rank 128, alpha 256 and 2e-4, with 2e-5 for the projector, are of LLaVA's `scripts/v1_5/finetune_lora.sh`, the dropout
of 0.05 its default. The heads keep 2e-5, the rate at which ASVR tunes them: nothing but the language model's way of
training differs from `asvr-vicuna-7b`.
"""

from dataclasses import replace

from asvr.recipes.baseline import ASVR, HEADS, PROJECTOR
from asvr.recipes.optimisation import LoraSpec, ParameterGroup

PRETRAIN, INSTRUCT = ASVR.stages

ADAPTED = replace(
    INSTRUCT,
    trainable=(PROJECTOR, HEADS),
    adapter=LoraSpec(rank=128, alpha=256, dropout=0.05),
    optimisation=replace(
        INSTRUCT.optimisation,
        learning_rate=2e-4,
        groups=(
            ParameterGroup(name="projector", prefix=PROJECTOR, learning_rate=2e-5),
            ParameterGroup(name="heads", prefix=HEADS, learning_rate=2e-5),
        ),
    ),
)

LORA = replace(
    ASVR,
    name="asvr-vicuna-7b-lora",
    source="beyond the paper: asvr-vicuna-7b with LoRA in the second stage, as LLaVA-1.5's LoRA scripts",
    stages=(PRETRAIN, ADAPTED),
)
QLORA = replace(
    LORA,
    name="asvr-vicuna-7b-qlora",
    source="as asvr-vicuna-7b-lora, with the language model's frozen weights in four bits (QLoRA, arXiv 2305.14314)",
    stages=(PRETRAIN, replace(ADAPTED, adapter=LoraSpec(rank=128, alpha=256, dropout=0.05, base="nf4"))),
)

ROWS = (LORA, QLORA)
