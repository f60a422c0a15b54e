"""Pictures in the order in which a tokenizer sees them: the same for any number of processes, workers and restarts."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asvr.data.loading import Fault
from asvr.data.pictures import Pictures
from asvr.tokenizers.ranks import generator

MAX_HELD_OUT = 256
"""Pictures, of at most one in ten, that no training step sees; the finished tokenizer is judged on them."""

TRIES = 100
"""Pictures that are tried, one after the other, in the place of one that cannot be read."""

WIDEST = 4 / 3
"""Proportions of the widest crop; the tallest one's are the inverse (Inception's, as everywhere since)."""


@dataclass(frozen=True)
class Sample:
    """One picture of a step.

    Args:
        pixels: Prepared.
        caption: What is said of it, where that is needed.
        faults: Index of each picture that should have stood here but could not be read, and why.
    """

    pixels: Float[Tensor, "3 height width"]
    caption: str | None
    faults: tuple[tuple[int, str], ...] = ()


class TrainingPictures(Dataset):
    """Pictures by the number of the sample, counted over all epochs, each in an order of its own.

    Args:
        pictures: All pictures.
        prepare: Turns an RGB image into pixels; data workers get it.
        seed: Decides the orders and the crops.
        crop: Least share of a picture's area that a random crop keeps; 1 does not crop.
        captioned: Whether a picture needs a caption.
        skip_bad: Whether the next picture stands in for one that cannot be used; otherwise that is an error.

    Raises:
        ValueError: If there are fewer than two pictures.
    """

    def __init__(
        self,
        pictures: Pictures,
        prepare: Callable[[Image], Tensor],
        *,
        seed: int,
        crop: float = 1.0,
        captioned: bool = False,
        skip_bad: bool = False,
    ) -> None:
        count = len(pictures)
        if count < 2:
            raise ValueError(f"{count} picture(s): a tokenizer is trained on some and judged on others, give more")
        held_out = min(MAX_HELD_OUT, max(1, count // 10))
        self.pictures, self.prepare, self.seed = pictures, prepare, seed
        self.crop, self.captioned, self.skip_bad = crop, captioned, skip_bad
        self.held_out = [index * count // held_out for index in range(held_out)]
        """Indices of the pictures that are kept from training."""
        self.kept = np.delete(np.arange(count), self.held_out)
        """Indices of the pictures that are trained on."""

    def __getitem__(self, number: int) -> Sample | Fault:
        """Gives a sample, or why there is none."""
        epoch, place = divmod(number, len(self.kept))
        order, faults = _order(self.seed, epoch, len(self.kept)), []
        for attempt in range(TRIES if self.skip_bad else 1):
            index = int(self.kept[order[(place + attempt) % len(order)]])
            try:
                return self._sample(index, number, tuple(faults))
            except ValueError as error:
                faults.append((index, str(error)))
        more = f" (nor could the {TRIES - 1} after it)" if self.skip_bad else ""
        return Fault(faults[0][1] + more)

    def _sample(self, index: int, number: int, faults: tuple[tuple[int, str], ...]) -> Sample:
        caption = self.pictures.caption(index) if self.captioned else None
        if self.captioned and not caption:
            raise ValueError(
                f"{self.pictures.name(index)} has no caption, which the contrastive loss needs: give records whose "
                "answers are captions, or a table and its --caption-column, or --set semantic.contrastive_weight=0"
            )
        image = self.pictures.open(index)
        if self.crop < 1:
            image = random_crop(image, self.crop, generator(self.seed, "crop", number))
        return Sample(self.prepare(image), caption, faults)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return generator(seed, "order", epoch).permutation(count)


def random_crop(image: Image, least: float, random: np.random.Generator) -> Image:
    """Cuts out a part with a random share of the area and random proportions, at a random place.

    Args:
        image: The picture.
        least: Least share of its area.
        random: Decides.
    """
    width, height = image.size
    for _ in range(10):
        area = width * height * random.uniform(least, 1)
        aspect = WIDEST ** random.uniform(-1, 1)
        wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = random.integers(width - wide + 1), random.integers(height - tall + 1)
            return image.crop((int(left), int(top), int(left) + wide, int(top) + tall))
    return image


def micro_batches(steps: range, batch_size: int, own: slice, at_once: int) -> Iterator[list[int]]:
    """Cuts one process's run of consecutive samples of each step into micro-batches of sample numbers.

    Args:
        steps: The steps.
        batch_size: Samples of a step.
        own: This process's share of them.
        at_once: Samples of a micro-batch.
    """
    for step in steps:
        numbers = range(step * batch_size, (step + 1) * batch_size)[own]
        for start in range(0, len(numbers), at_once):
            yield list(numbers[start : start + at_once])


def load_samples(
    pictures: TrainingPictures, batches: Iterable[list[int]], *, workers: int = 0
) -> Iterator[list[Sample]]:
    """Opens and prepares batches of samples, in order.

    Args:
        pictures: The pictures.
        batches: Numbers of the samples of each batch.
        workers: Data worker processes; 0 prepares in this one.

    Raises:
        ValueError: If a picture cannot be used.
    """
    for batch in DataLoader(pictures, batch_sampler=batches, num_workers=workers, collate_fn=list):
        for sample in batch:
            if isinstance(sample, Fault):
                raise ValueError(sample.reason)
        yield batch
