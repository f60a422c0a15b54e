"""A visual tokenizer's folder: how its parts are written, found again, and told from one another."""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from asvr.targets.blocks import AttentionProjection, ConvProjection, LinearProjection, ShortcutProjection
from asvr.targets.features import FeatureSource, PixelPatches
from asvr.targets.latents import AutoencoderLatents
from asvr.targets.naflex import NaFlexFeatures
from asvr.targets.pixel_decoder import PixelDecoder
from asvr.targets.towers import TowerFeatures

CONFIG, CODEBOOKS, BLOCKS = "visual_tokenizer.json", "codebooks.safetensors", "blocks.safetensors"

SOURCES: dict[str, type[Any]] = {
    "tower": TowerFeatures,
    "naflex": NaFlexFeatures,
    "pixels": PixelPatches,
    "latents": AutoencoderLatents,
}
"""Feature sources by the `kind` of their description."""

BLOCK_KINDS: dict[str, type[nn.Module]] = {
    "linear": LinearProjection,
    "attention": AttentionProjection,
    "shortcut": ShortcutProjection,
    "conv": ConvProjection,
    "pixel_decoder": PixelDecoder,
}
"""Blocks before and after quantisation, and decoders, by the `kind` of their description; the rest of the description
are the arguments of the class."""


class Block(Protocol):
    """A module that says how to make another like it."""

    def describe(self) -> dict[str, Any]:
        """Gives `kind` and the arguments of its class, in plain JSON values."""
        ...


def load_source(folder: Path, described: dict[str, Any]) -> FeatureSource:
    """Reads a feature source, and checks that it is the one that was described.

    Raises:
        ValueError: If the files in the folder are another source's.
    """
    source = SOURCES[described["kind"]].load(folder, described)
    if source.describe() != described:
        raise ValueError(
            f"{folder} does not hold the features that its description names, its networks were exchanged: make or "
            "import it again"
        )
    return source


def save_blocks(folder: Path, blocks: dict[str, nn.Module | None]) -> dict[str, Any]:
    """Writes the weights of blocks by name; gives their descriptions, None for those that are absent."""
    present = {name: block for name, block in blocks.items() if block is not None}
    weights = {}
    for name, block in present.items():
        weights |= {f"{name}.{key}": value.contiguous() for key, value in block.state_dict().items()}
    if weights:
        save_file(weights, folder / BLOCKS)
    return {name: None if block is None else describe_block(block) for name, block in blocks.items()}


def describe_block(block: nn.Module) -> dict[str, Any]:
    """Gives a block's kind and the arguments of its class."""
    return block.describe()  # type: ignore[operator]


def load_blocks(folder: Path, described: dict[str, dict[str, Any] | None]) -> dict[str, nn.Module | None]:
    """Builds described blocks and reads their weights, strictly."""
    weights = load_file(folder / BLOCKS) if any(described.values()) else {}
    return {name: _build(name, one, weights) if one else None for name, one in described.items()}


def build_block(described: dict[str, Any]) -> nn.Module:
    """Makes a block of described kind, with fresh weights."""
    return BLOCK_KINDS[described["kind"]](**{key: value for key, value in described.items() if key != "kind"})


def _build(name: str, described: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    block, prefix = build_block(described), f"{name}."
    block.load_state_dict({key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)})
    return block


def digest(facts: dict[str, Any]) -> str:
    """Hashes plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> list[str]:
    """Names the values in which two groups differ, with both, by dotted path."""
    found = []
    for key in {**there, **here}:
        ours, theirs = there.get(key), here.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            found += differences(ours, theirs, f"{prefix}{key}.")
        elif ours != theirs:
            found.append(f"{prefix}{key} is {ours!r} there and {theirs!r} here")
    return found
