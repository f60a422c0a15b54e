"""Keys and values of a batch, in memory that is allocated once: put together, lengthened and thinned out in place."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicLayer

ROOM = 64
"""Positions to allocate at a time beyond what is needed: more than most answers have."""

Positions = Float[Tensor, "heads length width"]


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, each `(questions, heads, length, width)`: stock, but for where they lie.

    The stock layer copies all that it holds at every token: 11 ms with 8 heads of 64 and 16 questions of 780 tokens in
    fp32 on one CPU thread, where attention itself took 4. Memory outlasts a batch: that of a large tensor would go back
    to the system, and every page of a new one be a fault.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory: Tensor | None = None
        self.ends: list[int] = []
        self.length = 0
        self.rows = slice(0)

    def begin(self, ends: Sequence[int], length: int) -> None:
        """Forgets all, and awaits a beginning of each question.

        Args:
            ends: Position behind each question's beginning.
            length: Positions of the whole prompts.
        """
        self.ends, self.length, self.is_initialized = list(ends), length, False

    def place(self, questions: Sequence[int], keys: Positions, values: Positions) -> None:
        """Gives a beginning to some questions, behind padding.

        Args:
            questions: Their places.
            keys: Of the beginning.
            values: Of the beginning.
        """
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self._make_room(len(self.ends), keys, self.length)
        for question in questions:
            end = self.ends[question]
            start = end - keys.shape[-2]
            for room, new in zip(self.room, (keys, values), strict=True):
                # A masked value counts nothing times itself: of what is not finite that would not be nothing.
                room[question, :, :start] = 0
                room[question, :, start:end] = new

    def look_at(self, rows: slice, length: int) -> None:
        """Lets the model read on in some questions only.

        Args:
            rows: Neighbours.
            length: Positions that each of them has.
        """
        self.rows = rows
        self._show(length)

    def update(
        self, key_states: Tensor, value_states: Tensor, *arguments: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends keys and values of new positions, and gives all, of the questions that are looked at."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self.room.shape[-2] < end:
            kept = self.room[:, self.rows, :, :start].clone()
            assert kept.shape[1] == len(key_states) == self.rows.stop, "only the first questions would be kept"
            self._make_room(len(key_states), key_states[0], end)
            self.room[..., :start, :] = kept
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[self.rows, :, start:end] = new
        return self._show(end)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the questions at some places, in that order.

        Args:
            indices: Places. One that moves comes from behind those that are kept, so that none is overwritten.
        """
        length = self.get_seq_length()
        for place, moved in enumerate(indices.tolist()):
            assert moved == place or moved >= len(indices), f"{moved} would be overwritten"
            if moved != place:
                self.room[:, place, :, :length] = self.room[:, moved, :, :length]
        self.look_at(slice(0, len(indices)), length)

    def _make_room(self, questions: int, like: Positions, length: int) -> None:
        shape = (2, questions, like.shape[0], length + ROOM, like.shape[-1])
        needed = torch.Size(shape).numel()
        if self.memory is None or self.memory.numel() < needed:
            self.memory = like.new_empty(needed)
        self.room = self.memory[:needed].view(shape)

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = self.room[:, self.rows, :, :length]
        return self.keys, self.values
