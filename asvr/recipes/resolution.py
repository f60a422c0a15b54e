"""Pictures of 1152x1152 pixels by S2: three scales side by side in as many visual tokens as one (Table 3).

The paper says "following LLaVA-Next", which cuts pictures into tiles (AnyRes, `any_resolution.py`). But in the authors'
release AnyRes cannot run, and S2 is the only way to 1152 pixels that can (landscape.md, D7), so Table 3 has a pair of
recipes for each.

The codes are of whole pictures at one scale, which the model's tower does not see by itself, so they come from a cache.
"""

from dataclasses import replace

from asvr.models.visual_input import MultiScaleInput
from asvr.recipes.baseline import supervised
from asvr.recipes.data_scale import NEXT
from asvr.recipes.supervision import CodesSpec, DepthTransformerSpec, SupervisionSpec

LLAVA_S2 = replace(
    NEXT,
    name="llava-s2-next-vicuna-7b",
    source="arXiv 2506.09040, Table 3, LLaVA at 1152x1152, by the release's S2",
    model=replace(NEXT.model, visual_input=MultiScaleInput(scales=(1, 2, 3))),
)

CACHED = {
    "semantic": SupervisionSpec(
        target=CodesSpec(tokenizer="tokenizers/siglip-so400m", cache="targets/siglip-so400m"),
        head=DepthTransformerSpec(),
    )
}

ROWS = (
    LLAVA_S2,
    supervised(
        LLAVA_S2,
        CACHED,
        name="asvr-s2-next-vicuna-7b",
        source="arXiv 2506.09040, Table 3, ASVR at 1152x1152, by the release's S2",
    ),
)
