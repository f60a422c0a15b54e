from pathlib import Path

import pytest
from transformers import SiglipImageProcessorPil, SiglipVisionModel

from asvr.data.pictures import find_pictures
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.caching import Caching, cache_codes
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings
from tests.planning.step import DEPTH

TARGETS = [f"stages.{stage}.supervision.semantic.target" for stage in ("pretrain", "instruct")]


@pytest.fixture(scope="session")
def ways(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Where the codes of an ASVR recipe may come from, as changes to it; by default they are of the model's own tower.

    The tokenizer has all that one may have beside codebooks and tower: blocks before and after quantisation.
    """
    folder = tmp_path_factory.mktemp("planning")
    pictures = find_pictures(str(parts / "records" / "images"))
    tower = parts / "tower"
    features = TowerFeatures(SiglipVisionModel.from_pretrained(tower), SiglipImageProcessorPil.from_pretrained(tower))
    settings = FitSettings(depth=DEPTH, num_codes=8, width=16)
    fit_tokenizer(features, pictures, settings=settings, out=folder / "tokenizer")
    tokenizer = VisualTokenizer.from_pretrained(folder / "tokenizer")
    assert tokenizer.pre is not None and tokenizer.post is not None
    cache_codes(tokenizer, pictures, folder / "store", Caching(shard_size=4, batch_size=4))
    own = {f"{target}.tokenizer": str(folder / "tokenizer") for target in TARGETS}
    return {
        "own tower": own,
        "second tower": own | {f"{target}.own_tower": "false" for target in TARGETS},
        "cache": own | {f"{target}.cache": str(folder / "store") for target in TARGETS},
    }
