"""Reads the numbers recorded from the authors' release, and rebuilds its tiny model in stock classes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.release import load_release_weights
from asvr.objective import Alignment, Objective, Supervision
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures

FOLDER = Path(__file__).parents[3] / "shared" / "golden" / "reference"
IMAGE_TOKEN = 95  # The release's own id is -200; a stock model needs one of its vocabulary, and no step uses this one.
TOWER = "model.vision_tower.vision_tower.vision_model."
HEAD = "model.vision_tokenizer.vision_tower.rqtransformer_semantic."
TOKENIZER = "model.vision_tokenizer.vision_tower.rqvaesiglip."

needs_reference = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="../shared/golden/reference is not beside this checkout"
)


def read(name: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors with the int8 rule applied, and the facts beside them."""
    tensors, facts = load_file(FOLDER / f"{name}.safetensors"), json.loads((FOLDER / f"{name}.json").read_text())
    for key, scale in facts.get("int8_scales", {}).items():
        tensors[key] = tensors[key].float() * scale
    return tensors, facts


def below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights under a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}


def codebooks(weights: dict[str, Tensor], prefix: str, depth: int = 8) -> Tensor:
    """Codebooks without the padding row that the release never searches; a shared one is stored once."""
    books = [book[:-1] for _, book in sorted(below(weights, prefix).items())]
    return torch.stack(books * (depth // len(books)))


def pixels(index: slice) -> Tensor:
    """Normalised pictures of the steps."""
    return (read("step_images")[0]["u8"][index].float() / 255 - 0.5) / 0.5


def tokenizer() -> VisualTokenizer:
    weights, facts = read("step_weights")
    tower = SiglipVisionModel(SiglipVisionConfig(**facts["tokenizer_siglip_config"]))
    _load(tower, below(weights, TOKENIZER + "siglip_model.vision_model."))
    quantizer = ResidualQuantizer(codebooks(weights, TOKENIZER + "quantizer_semantic.codebooks."))
    processor = SiglipImageProcessorPil(size={"height": 384, "width": 384})
    return VisualTokenizer(TowerFeatures(tower, processor), quantizer)


def _load(module: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    """Loads what the release stored: all but the last layer and the pooling head, on which no number depends."""
    missing, unexpected = module.load_state_dict(weights, strict=False)
    assert not unexpected
    unused = ("head.", "post_layernorm", "encoder.layers.")
    used = [name for name in missing if not any(part in name for part in unused)]
    assert not used, used


def objective(alignment: Alignment) -> Objective:
    weights, facts = read("step_weights")
    text = LlamaConfig(**facts["llm_config"])
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**facts["vision_tower_config"]),
        text_config=text,
        image_token_id=IMAGE_TOKEN,
        vision_feature_layer=-2,
        vision_feature_select_strategy="full",
    )
    vlm = LlavaForConditionalGeneration(config)
    _load(vlm.model.vision_tower, below(weights, TOWER))
    names = ("embed_tokens.", "layers.", "norm.")
    vlm.model.language_model.load_state_dict(
        {name: value for name, value in below(weights, "model.").items() if name.startswith(names)}
    )
    vlm.lm_head.load_state_dict(below(weights, "lm_head."))
    projector = below(weights, "model.mm_projector.")
    vlm.model.multi_modal_projector.load_state_dict(
        {name.replace("0.", "linear_1.").replace("2.", "linear_2."): value for name, value in projector.items()}
    )
    target = tokenizer()
    head = DepthTransformer(text.hidden_size, target.quantizer.codebooks, width=128)
    load_release_weights(head, below(weights, HEAD), below(weights, "projector."))
    return Objective(vlm, {"semantic": Supervision(target, head)}, alignment)


def step_batch(name: str, images: int = 1) -> dict[str, Tensor]:
    """A recorded step as our collator would give it; one marker stands for all images of its row."""
    tensors, _ = read(name)
    rows = []
    for ids, labels, real in zip(tensors["input_ids"], tensors["labels"], tensors["attention_mask"], strict=True):
        rows.append(_splice(ids[real].tolist(), labels[real].tolist(), 729 * images))
    length = max(len(ids) for ids, _ in rows)
    input_ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (length - len(labels)) for _, labels in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in rows])
    return {
        "input_ids": input_ids,
        "labels": labels,
        "attention_mask": mask,
        "visual_mask": input_ids == IMAGE_TOKEN,
    }


def _splice(ids: list[int], labels: list[int], tokens: int) -> tuple[list[int], list[int]]:
    if -200 not in ids:
        return ids, labels
    at = ids.index(-200)
    return (
        ids[:at] + [IMAGE_TOKEN] * tokens + ids[at + 1 :],
        labels[:at] + [-100] * tokens + labels[at + 1 :],
    )
