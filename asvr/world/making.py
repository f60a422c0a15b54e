"""The record of how a shipped model was made: command, seed, data hash, first losses, versions and measurements."""

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from asvr.world.fit import Descent

MAKING = "making.json"
"""Name of the record in a model's folder."""

_NUM_FIRST = 3


def write_making(
    out: Path, *, inputs: Mapping[str, Path], num_records: int, descent: Descent, losses: list[float]
) -> None:
    """Writes how the model in a folder was made.

    Args:
        out: The model's folder, with its weights already in `model.safetensors`.
        inputs: Files it was trained on, by the name of their argument.
        num_records: How many records they hold together.
        descent: How it was trained.
        losses: Loss of every step.
    """
    record = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "descent": asdict(descent),
        "inputs": {name: {"file": path.name, "sha256": sha256(path)} for name, path in inputs.items()},
        "records": num_records,
        "first_losses": losses[:_NUM_FIRST],
        "last_loss": sum(losses[-50:]) / len(losses[-50:]),
        "weights_sha256": sha256(out / "model.safetensors"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    (out / MAKING).write_text(json.dumps(record, indent=1) + "\n")


def add_measured(out: Path, measured: Mapping[str, Any]) -> None:
    """Adds measurements to the record of a model's folder, beside those it has."""
    path = out / MAKING
    record = json.loads(path.read_text())
    record["measured"] = {**record.get("measured", {}), **measured}
    path.write_text(json.dumps(record, indent=1) + "\n")


def sha256(path: Path) -> str:
    """Gives a file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
