"""A released tokenizer checkpoint → visual tokenizers of this package: strictly, with nothing silently missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from asvr.disk import sha256_of
from asvr.environment import environment
from asvr.targets.checkpoints import load_tower_config
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.checkpoint_file import Checkpoint, read_checkpoint
from asvr.tokenizers.checkpoint_weights import Weights
from asvr.tokenizers.layouts import STATISTICS, TEXT, Branch, BranchName, Layout, Tower, recognise

TOWER = "siglip_model.vision_model."


def import_tokenizers(
    checkpoint: Path,
    *,
    only: BranchName | None = None,
    tower: str | None = None,
    config: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[BranchName, VisualTokenizer]:
    """Reads the tokenizers of a checkpoint of ASVR's release, of DualToken, or of a whole ASVR model.

    Args:
        checkpoint: Its file, or the folder that holds it.
        only: Which of its two tokenizers to read; both by default. The other's weights may then be absent.
        tower: Hub name or folder of the SigLIP whose configuration the vision tower has; by default the folder beside
            the checkpoint that its configuration names.
        config: The tokenizer's `config.json`; by default the one beside the checkpoint.
        on_step: Told what is done next.

    Returns:
        Visual tokenizers by name; their `about` says where they come from.

    Raises:
        FileNotFoundError: If the checkpoint or a configuration is not there.
        ValueError: If it is of another layout, damaged or not whole: if a tensor is missing, misshapen or of no place.
    """
    on_step(f"reading {checkpoint}")
    found = read_checkpoint(checkpoint)
    folder, source = found.files[0].parent, str(found.files[0])
    layout = recognise(found.tensors, source)
    on_step(f"{layout.name} layout with {len(found.tensors)} tensors; {found.others} of a model around it left out")
    settings = read_settings(config or folder / "config.json")
    tower_config = read_tower_config(tower, settings, folder)
    names: tuple[BranchName, ...] = (only,) if only else ("semantic", "appearance")
    branches = [_branch(layout, name, settings, tower_config) for name in names]
    needed = _needed(found.tensors, layout, names)
    on_step(f"filling a vision tower of {tower_config.num_hidden_layers} layers, {' and '.join(names)}")
    tokenizers = _assemble(branches, tower_config, Weights(needed), source)
    on_step("hashing the checkpoint")
    about = _about(found, layout, used=len(needed))
    for name, tokenizer in zip(names, tokenizers, strict=True):
        tokenizer.about = {**about, "branch": name}
    return dict(zip(names, tokenizers, strict=True))


def _about(found: Checkpoint, layout: Layout, *, used: int) -> dict[str, Any]:
    counts = {"used": used, "of_no_use": len(found.tensors) - used, "of_a_model_around": found.others}
    return {
        "made_by": "asvr tokenizer import",
        "layout": layout.name,
        "sha256": {file.name: sha256_of(file) for file in found.files},
        **found.facts,
        "tensors": counts,
        "environment": environment(),
    }


def read_settings(file: Path) -> dict[str, Any]:
    """Reads the part of a checkpoint's configuration that is about its tokenizer.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is the configuration of something else.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no {file}: say with --config where the tokenizer's own config.json is")
    try:
        settings = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}): fetch it again") from error
    if not isinstance(settings, dict) or "rqvaesiglip" not in settings:
        raise ValueError(
            f"{file} has no `rqvaesiglip`, so it is not the tokenizer's: say with --config where that one is"
        )
    return settings["rqvaesiglip"]


def read_tower_config(tower: str | None, settings: dict[str, Any], folder: Path) -> SiglipVisionConfig:
    """Reads the configuration of a checkpoint's vision tower.

    Raises:
        FileNotFoundError: If it is not beside the checkpoint, and nothing else was given.
        ValueError: If it is no SigLIP's.
    """
    beside = folder / Path(settings.get("pretrained_model", "")).name
    if tower is None and not (beside / "config.json").is_file():
        raise FileNotFoundError(
            f"no {beside / 'config.json'}, the configuration of the vision tower: give its folder or hub name with "
            "--tower, such as google/siglip-so400m-patch14-384"
        )
    found = load_tower_config(tower or str(beside.absolute()))
    if not isinstance(found, SiglipVisionConfig):
        raise ValueError(
            f"{tower or beside} is a {found.model_type}: the vision tower of these checkpoints is a SigLIP; name it "
            "with --tower"
        )
    return found


def _branch(layout: Layout, name: BranchName, settings: dict[str, Any], tower: SiglipVisionConfig) -> Branch:
    size, patch = tower.image_size, tower.patch_size
    if not isinstance(size, int) or not isinstance(patch, int):
        raise ValueError(f"a vision tower for pictures of {size} and patches of {patch}: both must be square")
    grid = (size // patch, size // patch)
    try:
        return layout.branches[name](settings, Tower(tower.num_hidden_layers, tower.hidden_size, grid))
    except KeyError as error:
        raise ValueError(
            f"the checkpoint's configuration lacks {error} under `rqvaesiglip`: it must be the config.json that was "
            f"published with a checkpoint of {layout.name}'s layout"
        ) from error


def _needed(tensors: dict[str, Tensor], layout: Layout, names: tuple[BranchName, ...]) -> dict[str, Tensor]:
    """Leaves out what is known and of no use: text, statistics of training, and the tokenizer that is not wanted."""
    unwanted = {part for name, parts in layout.parts.items() if name not in names for part in parts}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(TEXT)
        and name.rpartition(".")[2] not in STATISTICS
        and name.partition(".")[0] not in unwanted
    }


def _assemble(
    branches: list[Branch], tower_config: SiglipVisionConfig, weights: Weights, source: str
) -> list[VisualTokenizer]:
    tower = SiglipVisionModel(tower_config)
    weights.fill(tower, TOWER)
    quantizers = [_fill(weights, branch) for branch in branches]
    weights.finish(source)
    processor = SiglipImageProcessorPil(size={"height": tower_config.image_size, "width": tower_config.image_size})
    return [
        VisualTokenizer(
            TowerFeatures(tower, processor, branch.layer),
            quantizer,
            pre=branch.pre,
            post=branch.post,
            decoder=branch.decoder,
        )
        for branch, quantizer in zip(branches, quantizers, strict=True)
    ]


def _fill(weights: Weights, branch: Branch) -> ResidualQuantizer:
    for module, prefix in branch.parts:
        weights.fill(module, prefix)
    codes = branch.codes
    books = weights.codebooks(
        branch.codebooks, depth=codes.depth, shape=(codes.codes, codes.width), shared=codes.shared
    )
    return ResidualQuantizer(books, codes.depth)
