"""Where the codes come from: semantic, appearance or both (Table 1), and other towers' features (Table 10).

Table 10 is unlabelled, but its text-only and SigLIP rows are the 1152-pixel rows of Table 3, so the other two stand on
those here. How its codebooks were fitted the paper does not say; here as those of SigLIP are.

Where the codes are of another tower than the model's, or of another layer than it reads, they come from a cache (`asvr
targets cache`), so that no second tower runs while training; `--set ...target.cache=none` computes them in every step.
"""

from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised
from asvr.recipes.resolution import LLAVA_S2
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, SupervisionSpec

APPEARANCE = {
    "appearance": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/appearance", cache="targets/appearance"), head=DepthTransformerSpec()
    )
}
DINOV3 = {
    "dinov3": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/dinov3", cache="targets/dinov3"), head=DepthTransformerSpec()
    )
}
DEPTH_ANYTHING = {
    "depth_anything": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/depth-anything", cache="targets/depth-anything"),
        head=DepthTransformerSpec(),
    )
}

ROWS = (
    supervised(
        BASELINE,
        APPEARANCE,
        name="appearance-vicuna-7b",
        source="arXiv 2506.09040, Table 1, SigLIP, appearance supervision",
    ),
    supervised(
        BASELINE,
        {**SEMANTIC, **APPEARANCE},
        name="dual-vicuna-7b",
        source="arXiv 2506.09040, Table 1, SigLIP, semantic and appearance supervision; a head each, losses summed",
    ),
    supervised(
        LLAVA_S2,
        DINOV3,
        name="dinov3-s2-next-vicuna-7b",
        source="arXiv 2506.09040, Table 10, VQ-DINO-v3; 1152 pixels by S2, as that table's other rows in Table 3",
    ),
    supervised(
        LLAVA_S2,
        DEPTH_ANYTHING,
        name="depth-anything-s2-next-vicuna-7b",
        source="arXiv 2506.09040, Table 10, VQ-DepthAnything; 1152 pixels by S2, as that table's other rows in Table 3",
    ),
)
