"""Shapes of published models by their names on the hub, so that a recipe's size is known without a download."""

from dataclasses import dataclass

from transformers import (
    Dinov2Config,
    DINOv3ViTConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
)

ROWS_MULTIPLE = 64
"""Embeddings that have to grow grow to a multiple of this, as `asvr.models.build` lets them."""


@dataclass(frozen=True, kw_only=True)
class PublishedLanguageModel:
    """The shape of a language model; every figure is of `config.json` and the tokenizer on its hub page.

    Args:
        config: Its stock configuration.
        num_tokens: Ids of its tokenizer once `<image>` and, where there is none, a padding token have been added.
    """

    config: PretrainedConfig
    num_tokens: int

    @property
    def rows(self) -> int:
        """Rows of its embeddings in a vision-language model."""
        return grown(self.config.get_text_config().vocab_size, self.num_tokens)


def grown(rows: int, num_tokens: int) -> int:
    """Gives the rows that embeddings have once there are so many tokens; some models have rows to spare."""
    return rows if num_tokens <= rows else -(-num_tokens // ROWS_MULTIPLE) * ROWS_MULTIPLE


# Llama's defaults in transformers are the widths of Llama-7B.
_VICUNA_7B = LlamaConfig(max_position_embeddings=4096, rms_norm_eps=1e-5)
_VICUNA_13B = LlamaConfig(
    hidden_size=5120,
    intermediate_size=13824,
    num_hidden_layers=40,
    num_attention_heads=40,
    num_key_value_heads=40,
    max_position_embeddings=4096,
    rms_norm_eps=1e-5,
)
# Mistral's defaults are those of Mistral-7B; v0.2 has no sliding window.
_MISTRAL_7B = MistralConfig(sliding_window=None, max_position_embeddings=32_768)
_QWEN2_5_7B = Qwen2Config(
    vocab_size=152_064,
    hidden_size=3584,
    intermediate_size=18_944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    max_position_embeddings=32_768,
)
_QWEN3_8B = Qwen3Config(
    vocab_size=151_936,
    hidden_size=4096,
    intermediate_size=12_288,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=40_960,
)
_LLAMA3_8B = LlamaConfig(
    vocab_size=128_256,
    intermediate_size=14_336,
    num_key_value_heads=8,
    max_position_embeddings=8192,
    rms_norm_eps=1e-5,
)

LANGUAGE_MODELS: dict[str, PublishedLanguageModel] = {
    "lmsys/vicuna-7b-v1.5": PublishedLanguageModel(config=_VICUNA_7B, num_tokens=32_001),
    "lmsys/vicuna-13b-v1.5": PublishedLanguageModel(config=_VICUNA_13B, num_tokens=32_001),
    "mistralai/Mistral-7B-Instruct-v0.2": PublishedLanguageModel(config=_MISTRAL_7B, num_tokens=32_002),
    "Qwen/Qwen2.5-7B-Instruct": PublishedLanguageModel(config=_QWEN2_5_7B, num_tokens=151_666),
    "Qwen/Qwen3-8B": PublishedLanguageModel(config=_QWEN3_8B, num_tokens=151_670),
    "meta-llama/Meta-Llama-3-8B-Instruct": PublishedLanguageModel(config=_LLAMA3_8B, num_tokens=128_258),
}
"""Language models that recipes name."""

_SO400M = SiglipVisionConfig(
    hidden_size=1152,
    intermediate_size=4304,
    num_hidden_layers=27,
    num_attention_heads=16,
    image_size=384,
    patch_size=14,
)
_DINOV2_LARGE = Dinov2Config(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518, patch_size=14
)

TOWERS: dict[str, PretrainedConfig] = {
    "google/siglip-so400m-patch14-384": _SO400M,
    # At a fixed resolution SigLIP 2 is published in SigLIP's own architecture.
    "google/siglip2-so400m-patch14-384": _SO400M,
    "facebook/dinov3-vitl16-pretrain-lvd1689m": DINOv3ViTConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_register_tokens=4,
        image_size=224,
        patch_size=16,
    ),
    "facebook/dinov2-base": Dinov2Config(image_size=518, patch_size=14),
    "facebook/dinov2-large": _DINOV2_LARGE,
    # Its encoder.
    "LiheYoung/depth-anything-large-hf": _DINOV2_LARGE,
}
"""Vision towers that recipes and the tokenizers they name are made of."""
