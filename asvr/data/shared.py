"""A list that data workers share, instead of each holding a copy of it."""

import pickle
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, overload

import torch

Item = TypeVar("Item")


class SharedList(Sequence[Item], Generic[Item]):
    """A fixed list kept as bytes in shared memory; an item is made anew whenever it is asked for.

    Workers that are forked share the objects of a list only until they look at them: counting a reference writes into
    an object, and the page that it lies on is copied. Workers that are spawned copy the whole list. Tensors are shared
    by both, and without references to count.

    Args:
        items: What to keep; plain values that can be pickled.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        parts = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self.ends = torch.tensor([len(part) for part in parts], dtype=torch.long).cumsum(0).share_memory_()
        self.data = torch.frombuffer(bytearray().join(parts) or bytearray(1), dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        """Counts the items."""
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        """Gives an item, or a list of several.

        Raises:
            IndexError: If there is none at that place.
        """
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = int(self.ends[place - 1]) if place else 0
        return pickle.loads(self.data[start : int(self.ends[place])].numpy().tobytes())
