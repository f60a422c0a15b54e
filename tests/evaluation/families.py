"""Tiny random vision-language models of several stock families, saved with their processors."""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
# Large weights: the answers of a tenth of the usual scale hardly depend on the question.
TEXT = {**SIZE, "initializer_range": 0.3}
SQUARE = {"height": 24, "width": 24}
PARTS = "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE{% else %}TEXT{% endif %}{% endfor %}"
# As llava-hf's: pictures first, each with a line break of the template's own; and no start token.
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

Parts = tuple[PreTrainedModel, ProcessorMixin]


def make_tokenizer(*special: str, **named: object) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that writes a start token by itself, as Llama's does, where it has one."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate((*special, *alphabet))}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **named)


def template(*, image: str, text: str, before: str, after: str, answer: str) -> str:
    parts = PARTS.replace("IMAGE", image).replace("TEXT", text)
    return f"{{% for message in messages %}}{before}{parts}{after}{{% endfor %}}{answer}"


def llava() -> Parts:
    tokenizer = make_tokenizer("<s>", "</s>", "<image>", bos_token="<s>", eos_token="</s>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**SIZE, image_size=24, patch_size=12),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1),
        image_token_id=2,
        vision_feature_layer=-1,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=SQUARE),
        tokenizer=tokenizer,
        patch_size=12,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return LlavaForConditionalGeneration(config), processor


def llava_next() -> Parts:
    tokenizer = make_tokenizer("<s>", "</s>", "<image>", bos_token="<s>", eos_token="</s>")
    pinpoints = [[24, 48], [48, 24], [48, 48]]
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**SIZE, image_size=24, patch_size=12),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1),
        image_token_id=2,
        vision_feature_layer=-1,
        image_grid_pinpoints=pinpoints,
    )
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": 24}, crop_size=SQUARE, image_grid_pinpoints=pinpoints
        ),
        tokenizer=tokenizer,
        patch_size=12,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(
            image="<image>", text="{{ part['text'] }}", before="<s>[INST] ", after=" [/INST]", answer=""
        ),
    )
    return LlavaNextForConditionalGeneration(config), processor


def idefics3() -> Parts:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    special = ("<s>", "</s>", "<pad>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    tokenizer = make_tokenizer(*special, *tiles, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    config = Idefics3Config(
        vision_config={**SIZE, "image_size": 24, "patch_size": 6},
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
        },
        image_token_id=3,
        pad_token_id=2,
        scale_factor=2,
    )
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 24}),
        tokenizer,
        image_seq_len=4,
        chat_template=template(
            image="<image>",
            text="{{ part['text'] }}",
            before="<s>{{ message['role'] | capitalize }}:",
            after="<end_of_utterance>\n",
            answer="Assistant:",
        ),
    )
    return Idefics3ForConditionalGeneration(config), processor


def paligemma() -> Parts:
    special = ("<pad>", "<eos>", "<bos>", "<image>")
    tokenizer = make_tokenizer(*special, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    pictures = SiglipImageProcessorPil(size=SQUARE)
    pictures.image_seq_length = 4
    processor = PaliGemmaProcessor(
        pictures,
        tokenizer,
        chat_template=template(image="<image>", text="{{ part['text'] }}", before="", after="", answer=""),
    )
    config = PaliGemmaConfig(
        vision_config={
            **SIZE,
            "model_type": "siglip_vision_model",
            "image_size": 24,
            "patch_size": 12,
            "projection_dim": 32,
            "vision_use_head": False,
        },
        # The processor has added a thousand tokens for places.
        text_config={
            **TEXT,
            "model_type": "gemma",
            "vocab_size": len(processor.tokenizer),
            "num_key_value_heads": 1,
            "head_dim": 16,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
        image_token_index=3,
        projection_dim=32,
        hidden_size=32,
    )
    return PaliGemmaForConditionalGeneration(config), processor


def gemma3() -> Parts:
    pictures = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    special = ("<pad>", "<eos>", "<bos>", *pictures.values(), "<start_of_turn>", "<end_of_turn>")
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "extra_special_tokens": pictures}
    tokenizer = make_tokenizer(*special, **named)
    config = Gemma3Config(
        vision_config={
            **SIZE,
            "model_type": "siglip_vision_model",
            "image_size": 24,
            "patch_size": 6,
            "vision_use_head": False,
        },
        text_config={**TEXT, "vocab_size": len(tokenizer), "num_key_value_heads": 1, "head_dim": 16},
        mm_tokens_per_image=4,
        boi_token_index=3,
        eoi_token_index=4,
        image_token_index=5,
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(size=SQUARE),
        tokenizer,
        image_seq_length=4,
        chat_template=template(
            image="<start_of_image>",
            text="{{ part['text'] | trim }}",
            before="{{ bos_token }}<start_of_turn>{{ message['role'] }}\n",
            after="<end_of_turn>\n",
            answer="<start_of_turn>model\n",
        ),
    )
    return Gemma3ForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], Parts]] = {
    "llava": llava,
    "llava_next": llava_next,
    "idefics3": idefics3,
    "paligemma": paligemma,
    "gemma3": gemma3,
}


def write_family(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    model, processor = FAMILIES[name]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
