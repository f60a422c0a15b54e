"""Trains as one of several processes, and notes for each micro-batch whether it had an image."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asvr.data.collate import Collator
from asvr.data.dataset import Sample
from asvr.training.stage import Machine
from tests.training.runs import train

MACHINE = Machine(micro_batch=2, log_every=1, progress=False)
BLOCKS: dict[str, Any] = {"stages.instruct.optimisation.similar_lengths": "2"}
"""One stage in the Trainer's own order, one in blocks of similar length."""


def note_images(notes: list[bool]) -> None:
    plain = Collator.__call__

    def noted(self: Collator, groups: Sequence[Sequence[Sample]]) -> dict[str, Any]:
        batch = plain(self, groups)
        notes.append("pixel_values" in batch)
        return batch

    Collator.__call__ = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    parts, records, out = map(Path, sys.argv[1:])
    notes: list[bool] = []
    note_images(notes)
    train("tiny-asvr", parts, out, machine=MACHINE, records=records, also=("told",), seed=3, **BLOCKS)
    (out / f"images-{os.environ['RANK']}.json").write_text(json.dumps(notes))
