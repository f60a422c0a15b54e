"""Where a run comes from: environment, seed, command and data, written beside its results."""

import hashlib
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from asvr.data.dataset import Source
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
    digest = hashlib.sha256(source.data.read_bytes()).hexdigest()
    return {"data": str(source.data), "images": str(source.images), "sha256": digest}
