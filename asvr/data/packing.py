"""Several conversations in one row of a batch, none of which sees another.

transformers keeps conversations apart where position ids begin anew and no attention mask is given
(`masking_utils.find_packed_sequence_indices`), with eager attention and SDPA in any number of rows. Its FlashAttention
does so in a single row alone (`_is_packed_sequence`), of whatever length: nothing is padded there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asvr.data.collate import Collator
from asvr.data.dataset import Sample
from asvr.data.template import IGNORED

Rows = Literal["several", "one"]

ROWS: dict[str, Rows] = {"eager": "several", "sdpa": "several", "flash_attention_2": "one", "flash_attention_3": "one"}
"""In how many rows each implementation of attention keeps conversations apart."""

PADDING = -1
"""Number of the conversation of a position that is padding."""


def rows_of(attention: str) -> Rows:
    """Says in how many rows an attention keeps packed conversations apart.

    Raises:
        ValueError: If it is not known to do so.
    """
    if attention not in ROWS:
        raise ValueError(
            f"attention {attention!r} is not known to keep packed conversations apart: do not pack, or choose one of "
            f"{', '.join(ROWS)}"
        )
    return ROWS[attention]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Fills rows with conversations, the longest first and each into the first row that has room for it.

    This first-fit decreasing rule takes at most 11/9 of the fewest possible rows and 6/9 more (Dósa 2007).

    Args:
        lengths: Of each conversation.
        capacity: Of a row; no conversation is longer.

    Returns:
        For each row the indices of its conversations.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        assert lengths[index] <= capacity
        row = next((row for row, left in enumerate(room) if left >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(index)
        room[row] -= lengths[index]
    return rows


@dataclass(frozen=True)
class PackingCollator:
    """Packs samples into rows as long as the longest of them, or all into one row.

    Args:
        collate: Gathers images, and says with what rows are padded.
        rows: How many rows a batch may have.
    """

    collate: Collator
    rows: Rows = "several"

    def __call__(self, groups: Sequence[Sequence[Sample]]) -> dict[str, Any]:
        """Makes a batch of what a dataset gave.

        Returns:
            What `Collator` gives, of which images, targets and `source` are in the order in which conversations now
            come, without `attention_mask`; and `(rows, length)` each `position_ids`, which begin anew with each
            conversation, and `conversation`, the number of each position's conversation, -1 for padding.

        Raises:
            ValueError: If a conversation begins with a visual token: the state before it would be another's.
        """
        samples = [sample for group in groups for sample in group]
        lengths = [len(sample.encoded.input_ids) for sample in samples]
        rows = pack(lengths, max(lengths) if self.rows == "several" else sum(lengths))
        packed = [[samples[index] for index in row] for row in rows]
        for sample in samples:
            if sample.encoded.visual_mask[0]:
                raise ValueError(
                    f"conversation {sample.id!r} begins with a visual token, which in a packed row would be predicted "
                    "from the conversation before: let the chat template begin with text, or do not pack"
                )
        batch = self.collate([[sample] for row in packed for sample in row])
        # What is padding now stands beside the conversations, not between them.
        filled = batch.pop("attention_mask").bool()
        counts = [len(row) for row in rows]
        numbers = torch.arange(len(samples)).unsqueeze(1).expand_as(filled)
        positions = torch.arange(filled.shape[1]).expand_as(filled)
        # The first token of a conversation would be predicted from the one before.
        labels = batch["labels"].clone()
        labels[:, 0] = IGNORED
        joined = {
            "input_ids": (batch["input_ids"], self.collate.pad_token_id),
            "labels": (labels, IGNORED),
            "visual_mask": (batch["visual_mask"], False),
            "position_ids": (positions, 0),
            "conversation": (numbers, PADDING),
        }
        return batch | {name: _join(each, filled, counts, value=value) for name, (each, value) in joined.items()}


def _join(
    each: Shaped[Tensor, "samples length"], filled: Bool[Tensor, "samples length"], counts: list[int], *, value: int
) -> Shaped[Tensor, "rows packed"]:
    """Joins what is filled, as many conversations to a row as `counts` says."""
    parts = [one[marked] for one, marked in zip(each, filled, strict=True)]
    starts = accumulate(counts, initial=0)
    rows = [torch.cat(parts[start : start + count]) for start, count in zip(starts, counts, strict=False)]
    return pad_sequence(rows, batch_first=True, padding_value=value)
