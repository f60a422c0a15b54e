"""Which stages are supervised, and how much data the tokenizer has seen (Table 8).

Its original settings, supervision in both stages by the 12M tokenizer, are `asvr-vicuna-7b`.
"""

from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, SupervisionSpec

SEMANTIC_3M = {
    "semantic": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/siglip-so400m-3m", own_tower=True), head=DepthTransformerSpec()
    )
}

ROWS = (
    supervised(
        BASELINE,
        SEMANTIC_3M,
        name="asvr-3m-vicuna-7b",
        source="arXiv 2506.09040, Table 8, semantic tokenizer trained on 3M pictures in place of 12M",
    ),
    supervised(
        BASELINE,
        SEMANTIC,
        name="asvr-tuning-only-vicuna-7b",
        source="arXiv 2506.09040, Table 8, training strategy IT: supervision in instruction tuning only",
        stages=("instruct",),
    ),
    supervised(
        BASELINE,
        SEMANTIC,
        name="asvr-pretraining-only-vicuna-7b",
        source="beyond the paper: supervision in pre-training only, the cell that Table 8 leaves out",
        stages=("pretrain",),
    ),
)
