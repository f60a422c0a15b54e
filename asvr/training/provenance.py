"""Where a run comes from: versions, commit, hardware, seeds and data, written beside its results."""

import hashlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import asvr
from asvr.data.dataset import Source

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow")


def provenance(sources: Sequence[Source], *, seed: int) -> dict[str, Any]:
    """Collects everything beside the recipe that a reader needs to repeat a run."""
    return {
        "asvr": asvr.__version__,
        "commit": commit(),
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "hardware": hardware(),
        "seed": seed,
        "command": sys.argv,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": [describe(source) for source in sources],
    }


def describe(source: Source) -> dict[str, str]:
    """Identifies a data file by its content."""
    digest = hashlib.sha256(source.data.read_bytes()).hexdigest()
    return {"data": str(source.data), "images": str(source.images), "sha256": digest}


def commit() -> str:
    """Gives the commit of the package's checkout, `+changes` if it has any, or `unknown` outside a checkout."""
    folder = Path(__file__).parent
    found = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes"], cwd=folder, capture_output=True, text=True
    )
    return found.stdout.strip() or "unknown"


def hardware() -> str:
    """Names what computes."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} CPU thread(s)"
