"""Trains a tokenizer for four steps as one of several processes."""

import contextlib
import sys
from pathlib import Path

from tests.tokenizers.trained import SHORT, Interrupted, everything, stop_at, train

if __name__ == "__main__":
    siglip, records, out = map(Path, sys.argv[1:])
    with contextlib.suppress(Interrupted):
        train(
            everything(siglip, **SHORT),
            records,
            out,
            layout={"micro_batch": 2, "save_every": 4},
            on_progress=stop_at(4),
        )
