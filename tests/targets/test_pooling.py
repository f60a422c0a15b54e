from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from asvr.targets.pooling import pool_from


@pytest.fixture
def tower(parts: Path) -> SiglipVisionModel:
    return SiglipVisionModel.from_pretrained(parts / "tower").eval()


@pytest.mark.parametrize("layer", [0, 1, 2, 3, -1, -2, -4])
def test_the_tower_s_own_hidden_state_gives_its_own_pooled_output(tower: SiglipVisionModel, layer: int) -> None:
    with torch.no_grad():
        output = tower(torch.randn(3, 3, 24, 24), output_hidden_states=True)
        pooled = pool_from(tower, output.hidden_states[layer], layer)
    assert torch.equal(pooled, output.pooler_output)


def test_the_pooled_output_follows_the_hidden_state(tower: SiglipVisionModel) -> None:
    hidden = torch.randn(2, 4, 32, requires_grad=True)
    pooled = pool_from(tower, hidden, -2)
    pooled[0].square().sum().backward()
    assert hidden.grad is not None
    assert hidden.grad[0].abs().sum(-1).min() > 0 and not hidden.grad[1].any()


def test_towers_that_pool_otherwise_are_refused(tower: SiglipVisionModel) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    clip = CLIPVisionModel(CLIPVisionConfig(image_size=24, patch_size=12, **sizes))
    headless = SiglipVisionModel(SiglipVisionConfig(image_size=24, patch_size=12, vision_use_head=False, **sizes))
    for refused in (clip, headless):
        with pytest.raises(ValueError, match="a SigLIP or SigLIP2 tower of fixed resolution"):
            pool_from(refused, torch.zeros(1, 4, 32), -2)
    with pytest.raises(ValueError, match="layer 4 of a vision tower with 4 hidden states"):
        pool_from(tower, torch.zeros(1, 4, 32), 4)
