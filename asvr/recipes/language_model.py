"""Which language model: the Mistral and 13B rows of Table 2, and backbones beyond the paper.

The paper names Mistral-7B (arXiv 2310.06825) without a version, and so does the release; v0.2, LLaVA-NeXT's, is taken.
"""

from dataclasses import replace

from asvr.recipes.baseline import BASELINE, SEMANTIC, supervised

PRETRAIN, INSTRUCT = BASELINE.stages

MISTRAL = replace(
    BASELINE,
    name="llava-mistral-7b",
    source="arXiv 2506.09040, Table 2, baseline with Mistral-7B; which Mistral-7B the paper leaves open",
    model=replace(BASELINE.model, language_model="mistralai/Mistral-7B-Instruct-v0.2"),
    stages=(PRETRAIN, replace(INSTRUCT, template="mistral")),
)
VICUNA_13B = replace(
    BASELINE,
    name="llava-vicuna-13b",
    source="arXiv 2506.09040, Table 2, baseline with Vicuna-13B",
    model=replace(BASELINE.model, language_model="lmsys/vicuna-13b-v1.5"),
)
QWEN2_5 = replace(
    BASELINE,
    name="llava-qwen2.5-7b",
    source="beyond the paper: Table 2's baseline with Qwen2.5-7B",
    model=replace(BASELINE.model, language_model="Qwen/Qwen2.5-7B-Instruct"),
    stages=(PRETRAIN, replace(INSTRUCT, template="chatml")),
)
QWEN3 = replace(
    QWEN2_5,
    name="llava-qwen3-8b",
    source="beyond the paper: Table 2's baseline with Qwen3-8B, answering without a thinking block",
    model=replace(BASELINE.model, language_model="Qwen/Qwen3-8B"),
)
LLAMA3 = replace(
    BASELINE,
    name="llava-llama3-8b",
    source="beyond the paper: Table 2's baseline with Llama-3-8B",
    model=replace(BASELINE.model, language_model="meta-llama/Meta-Llama-3-8B-Instruct"),
    stages=(PRETRAIN, replace(INSTRUCT, template="llama3")),
)


ROWS = (
    MISTRAL,
    supervised(MISTRAL, SEMANTIC, name="asvr-mistral-7b", source="arXiv 2506.09040, Table 2, ASVR with Mistral-7B"),
    VICUNA_13B,
    supervised(VICUNA_13B, SEMANTIC, name="asvr-vicuna-13b", source="arXiv 2506.09040, Table 2, ASVR with Vicuna-13B"),
    QWEN2_5,
    supervised(QWEN2_5, SEMANTIC, name="asvr-qwen2.5-7b", source="beyond the paper: Table 2's ASVR with Qwen2.5-7B"),
    QWEN3,
    supervised(QWEN3, SEMANTIC, name="asvr-qwen3-8b", source="beyond the paper: Table 2's ASVR with Qwen3-8B"),
    LLAMA3,
    supervised(LLAMA3, SEMANTIC, name="asvr-llama3-8b", source="beyond the paper: Table 2's ASVR with Llama-3-8B"),
)
