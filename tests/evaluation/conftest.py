import json
from pathlib import Path

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from asvr.data.templates import TEMPLATES


@pytest.fixture(scope="session")
def model_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the stock classes: 2 x 2 visual tokens, Vicuna's template."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**size, image_size=24, patch_size=12),
        text_config=LlamaConfig(
            **size,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            # Large weights: the answers of a tenth of the usual scale hardly depend on the question.
            initializer_range=0.3,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
    )
    folder = tmp_path_factory.mktemp("run") / "model"
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor = LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 24, "width": 24}),
        tokenizer=tokenizer,
        patch_size=12,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATES["vicuna_v1"],
    )
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten records with eleven questions about the pictures of `image_folder`, of several lengths and kinds."""
    records = [
        {
            "id": f"r{index}",
            "image": f"{index % 4}.png",
            "category": "exist" if index % 2 else "count",
            "conversations": [
                {"from": "human", "value": "<image>\nIs there a triangle" + " or a circle" * index + "?"},
                {"from": "gpt", "value": "yes"},
            ],
        }
        for index in range(6)
    ]
    two_turns = [("<image>\nFirst?", "a"), ("And <image> this?", "b"), ("Third?", "c")]
    records += [
        {
            "id": "several",
            "image": ["0.png", "1.png"],
            "conversations": [
                {"from": speaker, "value": value}
                for turn in two_turns
                for speaker, value in zip(("human", "gpt"), turn, strict=True)
            ],
        },
        {"id": "text", "conversations": [{"from": "human", "value": "Red?"}, {"from": "gpt", "value": "no"}]},
        {"id": "same", "conversations": [{"from": "human", "value": "Blue?"}, {"from": "gpt", "value": "no"}]},
        {"id": "image only", "image": "0.png"},
    ]
    path = tmp_path / "records.json"
    path.write_text(json.dumps(records))
    return path
