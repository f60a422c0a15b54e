"""What computes: versions, commit and hardware, for every result that is written down."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import asvr

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow")


def environment() -> dict[str, Any]:
    """Collects what a reader needs to repeat a result on a machine of the same kind."""
    return {
        "asvr": asvr.__version__,
        "commit": commit(),
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "hardware": hardware(),
    }


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
