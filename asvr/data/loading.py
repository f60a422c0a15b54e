"""Pictures, prepared in data workers, in a given order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PIL.Image import Image
from torch.utils.data import DataLoader, Dataset

from asvr.data.pictures import Pictures

Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class Fault:
    """Why a picture could not be prepared; a worker's exception would lose its class and its message on the way."""

    reason: str


@dataclass(frozen=True)
class PreparedPictures(Dataset[tuple[int, Any]], Generic[Prepared]):
    """Some of the pictures, prepared.

    Args:
        pictures: All pictures.
        indices: Which of them, in order.
        prepare: Turns an RGB image into whatever is wanted of it.
    """

    pictures: Pictures
    indices: Sequence[int]
    prepare: Callable[[Image], Prepared]

    def __len__(self) -> int:
        """Counts the chosen pictures."""
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[int, Prepared | Fault]:
        """Gives a picture's index and what was made of it, or why nothing was."""
        index = self.indices[position]
        try:
            return index, self.prepare(self.pictures.open(index))
        except ValueError as error:
            return index, Fault(str(error))


def load_pictures(
    pictures: Pictures,
    indices: Sequence[int],
    prepare: Callable[[Image], Prepared],
    *,
    batch_size: int,
    workers: int = 0,
    on_bad: Callable[[int, str], None] | None = None,
) -> Iterator[list[tuple[int, Prepared]]]:
    """Opens and prepares pictures, in order, the same with any number of workers.

    Args:
        pictures: All pictures.
        indices: Which of them, in order.
        prepare: Turns an RGB image into whatever is wanted of it; data workers get it.
        batch_size: Pictures given at once; a batch is shorter by those that cannot be read, and may be empty.
        workers: Data worker processes; 0 prepares in this one.
        on_bad: Called with the index of a picture that cannot be read or prepared, and the reason; by default it is an
            error.

    Raises:
        ValueError: If a picture cannot be read and `on_bad` is not given.
    """
    dataset = PreparedPictures(pictures, indices, prepare)
    for batch in DataLoader(dataset, batch_size, num_workers=workers, collate_fn=list):
        yield list(_good(batch, on_bad))


def _good(batch: list[tuple[int, Any]], on_bad: Callable[[int, str], None] | None) -> Iterator[tuple[int, Any]]:
    for index, prepared in batch:
        if not isinstance(prepared, Fault):
            yield index, prepared
        elif on_bad is None:
            raise ValueError(prepared.reason)
        else:
            on_bad(index, prepared.reason)
