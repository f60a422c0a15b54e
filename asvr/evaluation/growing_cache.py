"""Keys and values with room at the end, so that a token more does not copy all those before it."""

from typing import Any

from torch import Tensor
from transformers import DynamicLayer

ROOM = 64
"""Positions to allocate at a time beyond what is needed.

The stock layer concatenates at every token. In a layer of 8 heads of 64, with 16 questions of 780 tokens in fp32 on one
CPU thread, that took 19 ms and attention itself 11.
"""


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, each `(questions, heads, length, width)`: stock, but for when memory is allocated.

    A cache of them is `Cache(layer_class_to_replicate=GrowingLayer)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *arguments: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends keys and values of new positions, and gives all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, end = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        if self.room is None or self.room[0].shape[-2] < end:
            self.room = _with_room(self.keys, key_states, start), _with_room(self.values, value_states, start)
        keys, values = self.room
        keys[..., start:end, :], values[..., start:end, :] = key_states, value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the questions at some places, each as often as it is named, in that order."""
        super().batch_select_indices(indices)
        self.room = None


def _with_room(kept: Tensor | None, new: Tensor, length: int) -> Tensor:
    questions, heads, more, width = new.shape
    room = new.new_empty(questions, heads, length + more + ROOM, width)
    if length:
        assert kept is not None
        room[..., :length, :] = kept
    return room
