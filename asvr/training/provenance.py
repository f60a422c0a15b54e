"""Where a run comes from: environment, seed, command and data, written beside its results."""

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from asvr.data.dataset import Source
from asvr.disk import sha256_of
from asvr.environment import environment


def provenance(sources: Sequence[Source], *, seed: int) -> dict[str, Any]:
    """Collects everything beside the recipe that a reader needs to repeat a run."""
    return {
        **environment(),
        "seed": seed,
        "command": sys.argv,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": [describe(source) for source in sources],
    }


def describe(source: Source) -> dict[str, str]:
    """Identifies a data file by its content."""
    paths = {"data": str(source.data), "images": str(source.images)}
    return {**paths, "copy_of": source.name, "sha256": sha256_of(source.data)}
