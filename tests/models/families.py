"""Tiny language models of each family that recipes name, in its stock class and with its special tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)


@dataclass(frozen=True)
class Family:
    """What sets a family apart; special tokens are those of its published tokenizer_config.json."""

    recipe: str
    config: type[PretrainedConfig]
    special: tuple[str, ...]
    named: dict[str, str]
    end: str
    spare_rows: int = 0
    changes: tuple[tuple[str, Any], ...] = ()


QWEN = {"special": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "end": "<|im_end|>", "spare_rows": 40}
QWEN_NAMED = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
SENTENCEPIECE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
FAMILIES = {
    "vicuna": Family(
        "asvr-vicuna-13b", LlamaConfig, ("<unk>", "<s>", "</s>"), {**SENTENCEPIECE, "pad_token": "<unk>"}, "</s>"
    ),
    "mistral": Family("asvr-mistral-7b", MistralConfig, ("<unk>", "<s>", "</s>"), SENTENCEPIECE, "</s>"),
    # Qwen2.5's sizes up to 3B tie their embeddings.
    "qwen2.5": Family(
        "asvr-qwen2.5-7b", Qwen2Config, named=QWEN_NAMED, changes=(("tie_word_embeddings", True),), **QWEN
    ),
    "qwen3": Family("asvr-qwen3-8b", Qwen3Config, named=QWEN_NAMED, changes=(("head_dim", 16),), **QWEN),
    "llama3": Family(
        "asvr-llama3-8b",
        LlamaConfig,
        HEADERS,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        "<|eot_id|>",
    ),
}


def write_tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, whose id 0 is "!" as Qwen's is, but for families whose first ids are special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    first = family.special if "<unk>" in family.special else ()
    bpe = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate((*first, *alphabet))}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in family.special])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **family.named)


def write_family(name: str, folder: Path) -> Path:
    """Writes a family's tiny language model and its tokenizer."""
    family = FAMILIES[name]
    tokenizer = write_tokenizer(family)
    torch.manual_seed(1)
    config = family.config(
        vocab_size=len(tokenizer) + family.spare_rows,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **dict(family.changes),
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
