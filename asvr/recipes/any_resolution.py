"""Pictures of up to 1152x1152 pixels by AnyRes: the whole picture, and its tiles, as more visual tokens (Table 3).

The paper says "1152x1152, following LLaVA-Next" and nothing of how pictures are cut. Here a picture gets that one of
the layouts up to 3x3 tiles of 384 pixels in which it keeps most of its own pixels. A picture has at most 729 tokens of
its whole, 81 rows of 81 of its tiles and 81 row ends, 7,371 in all; 12,288 leave room for 4,917 of text. Row ends have
no target. The targets are read off the model's own tower, since a cache has codes of whole pictures alone. Vicuna was
trained on 4,096 tokens; the paper does not say how it gets beyond them, and here nothing is done about it.

In the authors' release AnyRes cannot run; `resolution.py` has the same rows by its S2 (landscape.md, D7).
"""

from dataclasses import replace

from asvr.models.visual_input import AnyResInput
from asvr.recipes.baseline import SEMANTIC, supervised
from asvr.recipes.data_scale import NEXT

ROW_END = "vlm.model.image_newline"

LLAVA_ANYRES = replace(
    NEXT,
    name="llava-anyres-next-vicuna-7b",
    source="arXiv 2506.09040, Table 3, LLaVA at 1152x1152, by LLaVA-NeXT's AnyRes",
    model=replace(
        NEXT.model,
        visual_input=AnyResInput(tiles=("1x2", "2x1", "2x2", "1x3", "3x1", "2x3", "3x2", "3x3")),
    ),
    stages=tuple(replace(stage, trainable=(*stage.trainable, ROW_END), max_length=12_288) for stage in NEXT.stages),
)

ROWS = (
    LLAVA_ANYRES,
    supervised(
        LLAVA_ANYRES,
        SEMANTIC,
        name="asvr-anyres-next-vicuna-7b",
        source="arXiv 2506.09040, Table 3, ASVR at 1152x1152, by LLaVA-NeXT's AnyRes",
    ),
)
