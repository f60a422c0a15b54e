"""What the language model sees: a tokenizer's quantised features (Table 1), or SigLIP2's (Table 9).

Discrete input is what the semantic codes stand for. In ASVR's row the same codes are the targets, so that one tower
gives both.
"""

from dataclasses import replace

from asvr.models.visual_input import DiscreteInput
from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised
from asvr.recipes.data_scale import NEXT
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, SupervisionSpec

LLAVA_DISCRETE = replace(
    BASELINE,
    name="llava-discrete-vicuna-7b",
    source="arXiv 2506.09040, Table 1, VQ-SigLIP, LLaVA without visual loss",
    model=replace(BASELINE.model, visual_input=DiscreteInput(tokenizer="tokenizers/siglip-so400m")),
)

LLAVA_SIGLIP2 = replace(
    NEXT,
    name="llava-siglip2-next-vicuna-7b",
    source="arXiv 2506.09040, Table 9, LLaVA with SigLIP2",
    model=replace(NEXT.model, vision_tower="google/siglip2-so400m-patch14-384"),
)
SEMANTIC_SIGLIP2 = {
    "semantic": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/siglip2-so400m", own_tower=True), head=DepthTransformerSpec()
    )
}

ROWS = (
    LLAVA_DISCRETE,
    supervised(
        LLAVA_DISCRETE,
        SEMANTIC,
        name="asvr-discrete-vicuna-7b",
        source="arXiv 2506.09040, Table 1, VQ-SigLIP, ASVR with semantic supervision",
    ),
    LLAVA_SIGLIP2,
    supervised(
        LLAVA_SIGLIP2,
        SEMANTIC_SIGLIP2,
        name="asvr-siglip2-next-vicuna-7b",
        source="arXiv 2506.09040, Table 9, ASVR with SigLIP2 as input and as target",
    ),
)
