"""A language model and a vision tower → a stock `LlavaForConditionalGeneration` with its processor."""

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from asvr.models.vision import load_input_config, load_input_processor, load_input_tower
from asvr.models.visual_input import ContinuousInput, VisualInput
from asvr.targets.checkpoints import resolve
from asvr.targets.towers import CLASS_TOKENS

IMAGE_TOKEN = "<image>"

Vlm = LlavaForConditionalGeneration | LlavaNextForConditionalGeneration
"""The stock models that are assembled here."""

VlmProcessor = LlavaProcessor | LlavaNextProcessor

CONTINUOUS = ContinuousInput()


def build_vlm(
    language_model: str,
    vision_tower: str,
    *,
    seed: int,
    feature_layer: int = -2,
    visual_input: VisualInput = CONTINUOUS,
) -> tuple[Vlm, VlmProcessor]:
    """Assembles a vision-language model: both parts pretrained, the projector fresh.

    Args:
        language_model: Hub name, folder or embedded name of a causal language model.
        vision_tower: The same of a vision tower.
        seed: Decides the projector's initial weights and nothing else.
        feature_layer: Which of the tower's hidden states the projector reads (the paper: the last but one).
        visual_input: How pictures enter the language model.

    Returns:
        The stock model and its processor; both load with `from_pretrained` once saved.
    """
    tokenizer = _load_tokenizer(language_model)
    # Published weights are half precision, and would train in it if they were loaded as they are.
    text = AutoModelForCausalLM.from_pretrained(resolve(language_model), dtype=torch.float32)
    tower = load_input_tower(vision_tower, visual_input)
    if len(tokenizer) > text.config.vocab_size:
        text.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64)
    config = _config(text.config, tower.config, tokenizer, feature_layer)
    # On the meta device nothing is allocated that is thrown away at once: a 7B model is held once, not twice.
    with torch.device("meta"):
        vlm = LlavaForConditionalGeneration(config)
    vlm.model.vision_tower = tower
    vlm.model.language_model = text.model
    vlm.lm_head = text.lm_head
    vlm.model.multi_modal_projector = _projector(config, seed)
    vlm.generation_config = text.generation_config
    vlm.generation_config.pad_token_id = tokenizer.pad_token_id
    return vlm, _processor(tokenizer, vision_tower, config, visual_input)


def outline_vlm(
    language_model: str, vision_tower: str, *, feature_layer: int = -2, visual_input: VisualInput = CONTINUOUS
) -> tuple[Vlm, VlmProcessor]:
    """Makes what `build_vlm` makes, without weights (on the meta device), to check a recipe in seconds."""
    tokenizer = _load_tokenizer(language_model)
    text = AutoConfig.from_pretrained(resolve(language_model))
    config = _config(text, load_input_config(vision_tower, visual_input), tokenizer, feature_layer)
    with torch.device("meta"):
        vlm = LlavaForConditionalGeneration(config)
    return vlm, _processor(tokenizer, vision_tower, config, visual_input)


def _load_tokenizer(language_model: str) -> PreTrainedTokenizerBase:
    """Adds the image token and, where there is none, a padding token; an existing word is never used for padding."""
    tokenizer = AutoTokenizer.from_pretrained(resolve(language_model))
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    return tokenizer


def _config(
    text: PretrainedConfig, tower: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, feature_layer: int
) -> LlavaConfig:
    image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert isinstance(image_token_id, int)
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=image_token_id,
        vision_feature_layer=feature_layer,
        # "default" drops the class token that some towers put first, so that what is left is a grid.
        vision_feature_select_strategy="default" if CLASS_TOKENS.get(type(tower)) else "full",
        tie_word_embeddings=text.tie_word_embeddings,
    )
    config.pad_token_id = tokenizer.pad_token_id
    return config


def _processor(
    tokenizer: PreTrainedTokenizerBase, vision_tower: str, config: LlavaConfig, visual_input: VisualInput
) -> VlmProcessor:
    assert isinstance(config.vision_config, PretrainedConfig)
    return LlavaProcessor(
        image_processor=load_input_processor(vision_tower, visual_input),
        tokenizer=tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=int(config.vision_feature_select_strategy == "default"),
        image_token=IMAGE_TOKEN,
    )


def _projector(config: LlavaConfig, seed: int) -> LlavaMultiModalProjector:
    """Two linear layers with torch's own initialisation, as LLaVA's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlavaMultiModalProjector(config)
