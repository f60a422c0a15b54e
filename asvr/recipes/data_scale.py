"""How much data: the mixtures of Tables 2, 3, 4, 9 and 10 in place of LLaVA-558K and 665K."""

from dataclasses import replace

from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised
from asvr.recipes.spec import Share

PRETRAIN, INSTRUCT = BASELINE.stages

NEXT = replace(
    BASELINE,
    name="llava-next-vicuna-7b",
    source="arXiv 2506.09040, Table 9, LLaVA with SigLIP; also the text-only side of Table 4",
    stages=(PRETRAIN, replace(INSTRUCT, mixture=(Share(name="llava-next-779k"),))),
)
NEXT_ASVR = supervised(
    NEXT,
    SEMANTIC,
    name="asvr-next-vicuna-7b",
    source="arXiv 2506.09040, Table 9, ASVR with SigLIP, and Table 4, ASVR",
)

ROWS = (NEXT, NEXT_ASVR)
