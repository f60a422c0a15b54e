from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
)

from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.zero_shot import ZeroShot, recall
from tests.parts import pictures

CAPTIONS = ["a red box", "a green box", "a blue box", "a white box"]


def write_teacher(folder: Path, tower: SiglipVisionModel, words: PreTrainedTokenizerFast, **vision: object) -> Path:
    """A SigLIP checkpoint whose vision half is the tower, unless its sizes are changed."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    # Not the number of words: another special token would draw another model.
    text = {**sizes, "vocab_size": 512, "max_position_embeddings": 16, "projection_size": 32}
    torch.manual_seed(4)
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = SiglipConfig(text_config={**text, **ids}, vision_config={**tower.config.to_dict(), **vision})
    model = SiglipModel(config)
    if not vision:
        model.vision_model.load_state_dict(tower.state_dict())
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def visual(parts: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(parts / "tokenizer")


@pytest.fixture
def teacher(visual: VisualTokenizer, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> str:
    assert isinstance(visual.features, TowerFeatures)
    return str(write_teacher(tmp_path / "teacher", visual.features.tower, tokenizer))


@pytest.fixture(scope="module")
def prepared(visual: VisualTokenizer) -> torch.Tensor:
    return torch.stack([visual.prepare(picture) for picture in pictures(12)])


def test_codes_that_lose_nothing_retain_everything(
    visual: VisualTokenizer, teacher: str, prepared: torch.Tensor
) -> None:
    exact = VisualTokenizer(visual.features, ResidualQuantizer(visual.vectors(prepared).flatten(0, 1).unsqueeze(0)))
    zero_shot = ZeroShot(teacher, exact)
    for part in prepared.split(5):
        zero_shot.add(part, exact.encode(part))
    found = zero_shot.result([CAPTIONS[index % 4] for index in range(12)])
    assert (found["pictures"], found["captions"]) == (12, 4)
    for direction in ("image_to_text", "text_to_image"):
        assert found[direction]["original"]["mean"] > 0
        assert found[direction]["reconstructed"] == found[direction]["original"]
        assert found[direction]["retention"] == {"ratio": 1.0, "low": 1.0, "high": 1.0}
        assert found[direction]["chance"] == 0.25


def test_recalls_are_those_of_the_stock_model(
    visual: VisualTokenizer, teacher: str, prepared: torch.Tensor, tokenizer: PreTrainedTokenizerFast
) -> None:
    zero_shot = ZeroShot(teacher, visual)
    zero_shot.add(prepared, visual.encode(prepared))
    captions = [CAPTIONS[index % 4] for index in range(12)]
    found = zero_shot.result(captions)
    model = SiglipModel.from_pretrained(teacher).eval()
    ids = tokenizer(CAPTIONS, padding="max_length", max_length=16, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=prepared).logits_per_image
    right = sum(int(row.argmax()) == index % 4 for index, row in enumerate(logits))
    assert found["image_to_text"]["original"]["mean"] == pytest.approx(right / 12)
    # The random model's scale may be negative, but the order of pictures for a caption is that of its scores.
    right = sum(int(column.argmax()) % 4 == index for index, column in enumerate(logits.T))
    assert found["text_to_image"]["original"]["mean"] == pytest.approx(right / 4)


def test_equal_scores_share_the_hit() -> None:
    one, other = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dim=1)
    found = torch.stack([one, one, one, other])
    hits = recall(torch.stack([one, other]), found, torch.tensor([0, 1]), torch.tensor([0, 1, 1, 1]))
    # The first query has three best answers of which one is right, the second has one, which is.
    assert hits.tolist() == pytest.approx([1 / 3, 1])


def test_a_collapsed_codebook_finds_by_chance(visual: VisualTokenizer, teacher: str, prepared: torch.Tensor) -> None:
    mean = visual.vectors(prepared).mean((0, 1))
    collapsed = VisualTokenizer(visual.features, ResidualQuantizer(mean.expand(1, 2, -1).clone()))
    zero_shot = ZeroShot(teacher, collapsed)
    zero_shot.add(prepared, collapsed.encode(prepared))
    found = zero_shot.result([CAPTIONS[index % 4] for index in range(12)])
    assert found["image_to_text"]["reconstructed"]["mean"] == 0.25
    assert found["text_to_image"]["reconstructed"]["mean"] == 0.25


def test_what_cannot_be_continued_is_refused(
    visual: VisualTokenizer, teacher: str, parts: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    features, quantizer = visual.features, visual.quantizer
    assert isinstance(features, TowerFeatures)
    with pytest.raises(ValueError, match="is a 'siglip_vision_model' model: zero-shot retention needs SigLIP"):
        ZeroShot(str(parts / "tower"), visual)
    wide = write_teacher(tmp_path / "wide", features.tower, tokenizer, hidden_size=64)
    with pytest.raises(ValueError, match="has hidden_size 64, the tokenizer's tower 32"):
        ZeroShot(str(wide), visual)
    several = VisualTokenizer(
        TowerFeatures(features.tower, features.processor, (-1, -2)), ResidualQuantizer(torch.zeros(1, 2, 64))
    )
    coarse = visual.with_grid((1, 1))
    unrestored = VisualTokenizer(features, quantizer, pre=torch.nn.Identity())
    for refused in (several, coarse, unrestored):
        with pytest.raises(ValueError, match="turned back into one hidden state"):
            ZeroShot(teacher, refused)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    clip = CLIPVisionModel(CLIPVisionConfig(image_size=24, patch_size=12, **sizes))
    with pytest.raises(ValueError, match="the tokenizer has a 'clip_vision_model' tower"):
        ZeroShot(teacher, VisualTokenizer(TowerFeatures(clip, features.processor), quantizer))
