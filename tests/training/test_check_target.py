from pathlib import Path

import pytest
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from asvr.targets.tokenizer import VisualTokenizer
from asvr.training.check_target import kept_share
from tests.training.runs import train


def test_the_share_that_a_crop_keeps() -> None:
    # The published processors: SigLIP's resizes the whole picture; CLIP's takes the central square; DINOv2's leaves out
    # an eighth of it: 256 pixels, of which 224.
    assert kept_share(SiglipImageProcessorPil().to_dict()) is None
    clip = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    assert kept_share(clip.to_dict()) == 1
    dinov2 = CLIPImageProcessorPil(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
    assert kept_share(dinov2.to_dict()) == 0.875


def test_a_target_that_sees_another_part_of_the_picture_is_refused(parts: Path, tmp_path: Path) -> None:
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    side = {"height": 24, "width": 24}
    tokenizer.features.processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side)
    tokenizer.save_pretrained(tmp_path / "cropping")
    target = "stages.pretrain.supervision.semantic.target"
    changes = {f"{target}.tokenizer": str(tmp_path / "cropping"), f"{target}.own_tower": "false"}
    sees = r"sees the central square of 75.0% of the shorter side, the model whole pictures, .*another place"
    with pytest.raises(ValueError, match=sees):
        train("tiny-asvr", parts, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()
