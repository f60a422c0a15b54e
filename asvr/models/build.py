"""A language model and a vision tower → a stock LLaVA, or LLaVA-NeXT for AnyRes input, with its processor."""

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import LlavaNextMultiModalProjector

from asvr.models.any_resolution import any_resolution_processor, pinpoints
from asvr.models.published import grown
from asvr.models.vision import layer_for_llava, load_input_config, load_input_processor, load_input_tower
from asvr.models.visual_input import AnyResInput, ContinuousInput, VisualInput
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
    """Assembles a vision-language model: both parts pretrained, the projector fresh (and AnyRes's end of a row).

    Args:
        language_model: Hub name, folder or embedded name of a causal language model.
        vision_tower: The same of a vision tower.
        seed: Decides the initial weights of what is fresh and nothing else.
        feature_layer: Which of the tower's hidden states the projector reads (the paper: the last but one).
        visual_input: How pictures enter the language model.

    Returns:
        The stock model and its processor; both load with `from_pretrained` once saved.
    """
    tokenizer = _load_tokenizer(language_model)
    # Published weights are half precision, and would train in it if they were loaded as they are.
    text = AutoModelForCausalLM.from_pretrained(resolve(language_model), dtype=torch.float32)
    tower = load_input_tower(vision_tower, visual_input, feature_layer)
    rows = grown(text.config.vocab_size, len(tokenizer))
    if rows > text.config.vocab_size:
        # New rows are drawn around the mean of the old ones; a run that is begun again must draw the same.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            text.resize_token_embeddings(rows)
    config = _config(text.config, tower.config, tokenizer, feature_layer, visual_input)
    # On the meta device nothing is allocated that is thrown away at once: a 7B model is held once, not twice.
    vlm = empty_vlm(config)
    vlm.model.vision_tower = tower
    vlm.model.language_model = text.model
    vlm.lm_head = text.lm_head
    _initialise(vlm, seed)
    vlm.generation_config = text.generation_config
    vlm.generation_config.pad_token_id = tokenizer.pad_token_id
    return vlm, _processor(tokenizer, vision_tower, config, visual_input)


def outline_vlm(
    language_model: str, vision_tower: str, *, feature_layer: int = -2, visual_input: VisualInput = CONTINUOUS
) -> tuple[Vlm, VlmProcessor]:
    """Makes what `build_vlm` makes, without weights (on the meta device), to check a recipe in seconds."""
    tokenizer = _load_tokenizer(language_model)
    text = AutoConfig.from_pretrained(resolve(language_model))
    text.vocab_size = grown(text.vocab_size, len(tokenizer))
    tower = load_input_config(vision_tower, visual_input, feature_layer)
    config = _config(text, tower, tokenizer, feature_layer, visual_input)
    return empty_vlm(config), _processor(tokenizer, vision_tower, config, visual_input)


def empty_vlm(config: LlavaConfig | LlavaNextConfig) -> Vlm:
    """Makes the stock model of a configuration without weights, on the meta device."""
    with torch.device("meta"):
        if isinstance(config, LlavaNextConfig):
            return LlavaNextForConditionalGeneration(config)
        return LlavaForConditionalGeneration(config)


def _load_tokenizer(language_model: str) -> PreTrainedTokenizerBase:
    """Adds the image token and, where there is none, a padding token; an existing word is never used for padding."""
    tokenizer = AutoTokenizer.from_pretrained(resolve(language_model))
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    return tokenizer


def _config(
    text: PretrainedConfig,
    tower: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    feature_layer: int,
    visual_input: VisualInput,
) -> LlavaConfig | LlavaNextConfig:
    image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert isinstance(image_token_id, int)
    config = vlm_config(
        text, tower, image_token_id=image_token_id, feature_layer=feature_layer, visual_input=visual_input
    )
    config.pad_token_id = tokenizer.pad_token_id
    return config


def vlm_config(
    text: PretrainedConfig,
    tower: PretrainedConfig,
    *,
    image_token_id: int,
    feature_layer: int = -2,
    visual_input: VisualInput = CONTINUOUS,
) -> LlavaConfig | LlavaNextConfig:
    """Joins the configurations of a language model and of what `load_input_config` gives to the stock model's."""
    values = {
        "vision_config": tower,
        "text_config": text,
        "image_token_index": image_token_id,
        "vision_feature_layer": layer_for_llava(tower, feature_layer),
        # "default" drops the class token that some towers put first, so that what is left is a grid.
        "vision_feature_select_strategy": "default" if CLASS_TOKENS.get(type(tower)) else "full",
        "tie_word_embeddings": text.tie_word_embeddings,
    }
    if isinstance(visual_input, AnyResInput):
        return LlavaNextConfig(**values, image_grid_pinpoints=pinpoints(visual_input.tiles, tower.image_size))
    return LlavaConfig(**values)


def _processor(
    tokenizer: PreTrainedTokenizerBase,
    vision_tower: str,
    config: LlavaConfig | LlavaNextConfig,
    visual_input: VisualInput,
) -> VlmProcessor:
    assert isinstance(config.vision_config, PretrainedConfig)
    images = load_input_processor(vision_tower, visual_input)
    values = {
        "tokenizer": tokenizer,
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": int(config.vision_feature_select_strategy == "default"),
        "image_token": IMAGE_TOKEN,
    }
    if isinstance(visual_input, AnyResInput):
        images = any_resolution_processor(images, visual_input.tiles, config.vision_config.image_size)
        return LlavaNextProcessor(image_processor=images, **values)
    return LlavaProcessor(image_processor=images, **values)


def _initialise(vlm: Vlm, seed: int) -> None:
    """Gives what is fresh its first weights: two linear layers with torch's own, as LLaVA's, and the end of a row."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(vlm, LlavaForConditionalGeneration):
            vlm.model.multi_modal_projector = LlavaMultiModalProjector(vlm.config)
            return
        vlm.model.multi_modal_projector = LlavaNextMultiModalProjector(vlm.config)
        # As wide as LLaVA-NeXT draws it.
        width = vlm.config.get_text_config().hidden_size
        vlm.model.image_newline = nn.Parameter(torch.randn(width) / width**0.5)
