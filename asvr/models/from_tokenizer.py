"""From a visual tokenizer's folder to the tower of discrete input, or a refusal with its remedy."""

from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PretrainedConfig

from asvr.models.discrete_input import DiscreteTower, DiscreteTowerConfig, Quantisation
from asvr.models.inner_tower import patch_rows
from asvr.targets.storage import CODEBOOKS
from asvr.targets.tokenizer import VisualTokenizer, read_config
from asvr.targets.towers import TowerFeatures

FIELD = "model.visual_input.tokenizer"


def discrete_config(tokenizer: str, tower: PretrainedConfig, feature_layer: int) -> DiscreteTowerConfig:
    """Describes the tower that gives the quantised features of a visual tokenizer, without reading its weights.

    Args:
        tokenizer: The tokenizer's folder.
        tower: Configuration of the recipe's vision tower.
        feature_layer: Which of its hidden states the recipe names.

    Raises:
        FileNotFoundError: If the folder holds no visual tokenizer.
        ValueError: If it quantises something else than that layer of a vision tower, or on another grid.
    """
    described = read_config(Path(tokenizer))
    features, rows = described["features"], patch_rows(tower)
    if features["kind"] != "tower":
        raise ValueError(
            f"{FIELD}: {tokenizer} quantises {features['kind']!r}, but discrete input is what a tokenizer makes of the "
            "vision tower's own features: fit one with `asvr tokenizer fit --tower`"
        )
    if features["layer"] != feature_layer:
        raise ValueError(
            f"{FIELD}: {tokenizer} quantises layer {features['layer']}, but model.feature_layer is {feature_layer}: "
            "set it to the tokenizer's layer, or choose a tokenizer of that layer alone"
        )
    if described["grid"] != [rows, rows]:
        raise ValueError(
            f"{FIELD}: the codes of {tokenizer} have the grid {tuple(described['grid'])}, but the vision tower gives "
            f"{(rows, rows)} features: choose a tokenizer with the tower's own grid"
        )
    with safe_open(Path(tokenizer) / CODEBOOKS, "pt") as file:
        code_width = file.get_slice("codebooks").get_shape()[2]
    return DiscreteTowerConfig(
        tower_config=tower,
        feature_layer=feature_layer,
        depth=described["depth"],
        num_codes=described["num_codes"],
        code_width=code_width,
        shared_codebook=described["shared_codebook"],
        pre=described["blocks"]["pre"],
        post=described["blocks"]["post"],
    )


def check_same_tower(tokenizer: str, tower_sha256: str) -> None:
    """Refuses a tokenizer that was made of another tower than the recipe's.

    Args:
        tokenizer: The tokenizer's folder.
        tower_sha256: Fingerprint of the recipe's vision tower.

    Raises:
        ValueError: If it was.
    """
    if read_config(Path(tokenizer))["features"]["tower_sha256"] != tower_sha256:
        raise ValueError(
            f"{FIELD}: {tokenizer} was fitted on another vision tower than model.vision_tower: choose its own tower, "
            "or fit a tokenizer with `asvr tokenizer fit --tower ...`"
        )


def load_discrete_tower(tokenizer: str, tower: PretrainedConfig, feature_layer: int) -> DiscreteTower:
    """Makes the tower of discrete input, with the tokenizer's weights; errors are those of `discrete_config`."""
    config = discrete_config(tokenizer, tower, feature_layer)
    loaded = VisualTokenizer.from_pretrained(tokenizer)
    assert isinstance(loaded.features, TowerFeatures)
    with torch.device("meta"):
        made = DiscreteTower(config)
    made.tower = loaded.features.tower
    made.quantisation = Quantisation(loaded.quantizer, pre=loaded.pre, post=loaded.post)
    return made.eval()
