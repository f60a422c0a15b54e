"""How much data: the mixtures of Tables 2, 3, 4, 9 and 10 in place of LLaVA-558K and 665K.

What the paper leaves open is as in its other rows, so that a row differs in its data alone: the tower is frozen, a
sequence has 2,048 tokens at most, every source is taken once. Of Bunny it takes the data, and nothing is said of
hyper-parameters; they are LLaVA's, which Bunny's tutorial for Llama-3-8B shares in pre-training (256 at 1e-3) and not
in tuning, where it trains adapters at 1e-4. For OneVision it says that its training recipe is followed: batch sizes
and learning rates are those of arXiv 2408.03326, Table 1 (the scripts beside it recommend 256 for a 7B model; the
tower trains there, at 2e-6, on crops of a larger picture).
"""

from dataclasses import replace

from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised
from asvr.recipes.optimisation import Optimisation
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

BUNNY = replace(
    BASELINE,
    name="llava-bunny-vicuna-7b",
    source="arXiv 2506.09040, Table 2, Vicuna-7B on 2M/2M, baseline",
    stages=(
        replace(PRETRAIN, mixture=(Share(name="bunny-laion-2m"),)),
        replace(INSTRUCT, mixture=(Share(name="bunny-2m"),)),
    ),
)

ONEVISION = replace(
    BASELINE,
    name="llava-onevision-vicuna-7b",
    source="arXiv 2506.09040, Table 2, Vicuna-7B on 558K/4M/4M, baseline; rates of arXiv 2408.03326, Table 1",
    stages=(
        replace(PRETRAIN, optimisation=Optimisation(batch_size=512, learning_rate=1e-3)),
        replace(
            INSTRUCT,
            name="middle",
            mixture=(
                Share(name="recap-558k"),
                Share(name="recap-118k"),
                Share(name="recap-cc3m"),
                Share(name="ureader-text"),
                Share(name="evol-instruct-143k"),
                Share(name="synthdog-en"),
                Share(name="synthdog-zh"),
            ),
            optimisation=Optimisation(batch_size=512, learning_rate=1e-5),
        ),
        replace(
            INSTRUCT,
            mixture=(Share(name="onevision-4m"),),
            optimisation=Optimisation(batch_size=512, learning_rate=1e-5),
        ),
    ),
)

ROWS = (
    NEXT,
    NEXT_ASVR,
    BUNNY,
    supervised(
        BUNNY,
        SEMANTIC,
        name="asvr-bunny-vicuna-7b",
        source="arXiv 2506.09040, Table 2, Vicuna-7B on 2M/2M, ASVR",
    ),
    ONEVISION,
    supervised(
        ONEVISION,
        SEMANTIC,
        name="asvr-onevision-vicuna-7b",
        source="arXiv 2506.09040, Table 2, Vicuna-7B on 558K/4M/4M, ASVR; rates of arXiv 2408.03326, Table 1",
    ),
)
