"""Checkpoint files of other projects → named tensors, without running what a pickle may hold."""

import pickle
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

VLM_PREFIX = "model.vision_tokenizer.vision_tower.rqvaesiglip."
"""Where a whole ASVR vision-language model keeps its tokenizer."""

PATTERNS = ("*.pt", "*.pth", "*.safetensors", "*.bin")
"""Files that a checkpoint's folder may hold."""

BESIDE_WEIGHTS = {"state_dict", "epoch", "name", "optimizer", "scaler"}
"""What DualToken's training writes into one file; only the weights are of use here."""


class Checkpoint(NamedTuple):
    """What a checkpoint says.

    Args:
        tensors: The tokenizer's weights by name, without a prefix.
        facts: What else it says of itself: `epoch` and `name`, where it does.
        others: How many tensors of a vision-language model around the tokenizer were left out.
        files: Its files.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    others: int
    files: list[Path]


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint's file, or the file or shards in a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If there are several checkpoints, or a file is damaged or holds other things than tensors.
    """
    files = checkpoint_files(path)
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for file in files:
        content = _load(file)
        facts |= {key: content[key] for key in ("epoch", "name") if isinstance(content.get(key), (int, str))}
        tensors |= _weights(file, content)
    inside = {name[len(VLM_PREFIX) :]: value for name, value in tensors.items() if name.startswith(VLM_PREFIX)}
    return Checkpoint(inside or tensors, facts, len(tensors) - len(inside) if inside else 0, files)


def checkpoint_files(path: Path) -> list[Path]:
    """Finds the files of one checkpoint.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a folder holds several checkpoints.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint {path}: give its file, or the folder that holds it")
    for pattern in PATTERNS:
        files = sorted(path.glob(pattern))
        # Shards are one checkpoint in many files; several `epoch_N.pt` are several checkpoints.
        if len(files) > 1 and pattern in ("*.pt", "*.pth"):
            names = ", ".join(file.name for file in files)
            raise ValueError(f"{path} holds {len(files)} checkpoints ({names}): give the file of one")
        if files:
            return files
    raise FileNotFoundError(f"{path} holds no checkpoint ({', '.join(PATTERNS)}): give its file")


def _load(file: Path) -> dict[str, Any]:
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise _damaged(file, error) from error
    if not is_zipfile(file):
        raise ValueError(
            f"{file} is no archive of torch.save: it is cut short, or a page came in its place; fetch it again"
        )
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file} holds other things than tensors, which are not unpickled since that can run any code: where you "
            "trust it, load it there and save its `state_dict` alone with `torch.save`"
        ) from error
    except RuntimeError as error:
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}: a checkpoint is a dictionary of named tensors")
    return content


def _damaged(file: Path, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0]
    return ValueError(f"{file} cannot be read ({reason}): it is damaged; fetch it again")


def _weights(file: Path, content: dict[str, Any]) -> dict[str, Tensor]:
    weights = content
    if "state_dict" in content:
        weights = content["state_dict"]
        unknown = content.keys() - BESIDE_WEIGHTS
        if unknown:
            raise ValueError(f"{file} holds {sorted(unknown)[0]!r} beside its weights, which is not known here")
    strange = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        raise ValueError(f"{file}: {strange[0]!r} is no tensor: a checkpoint's `state_dict` names tensors only")
    return weights
