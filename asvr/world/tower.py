"""The world's vision tower: a small SigLIP trained from scratch on pictures and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from asvr.data.images import open_image
from asvr.world.contrast import RegionContrast
from asvr.world.fit import Descent, descend, device
from asvr.world.making import write_making
from asvr.world.regions import DescribedPicture, read_described_pictures

TOWER_DESCENT = Descent(steps=2000, batch_size=64, learning_rate=1.5e-3)
"""What made the tower that ships with the package."""


@dataclass(frozen=True, kw_only=True)
class TowerSize:
    """Size of a vision tower.

    Args:
        image_size: Side of its pictures in pixels; others are resized to it.
        patch_size: Side of a patch in pixels.
        hidden_size: Width; four attention heads share it.
        num_layers: Number of encoder layers.
    """

    image_size: int = 72
    patch_size: int = 12
    hidden_size: int = 128
    num_layers: int = 4

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size or self.hidden_size % 4:
            raise ValueError(
                f"image_size must be a multiple of patch_size and hidden_size of 4, but they are {self.image_size}, "
                f"{self.patch_size} and {self.hidden_size}. Round them."
            )


def fit_tower(
    data: Path,
    images: Path,
    out: Path,
    *,
    size: TowerSize = TowerSize(),
    descent: Descent = TOWER_DESCENT,
) -> list[float]:
    """Trains a vision tower from scratch and saves it with its image processor.

    Args:
        data: LLaVA records with captions, or with regions.
        images: Folder of their pictures.
        out: Folder for a stock `SiglipVisionModel`, its image processor and `making.json`.
        size: Size of the tower and its pictures.
        descent: How long and how fast to train.

    Returns:
        Loss of every step: mean over regions of the sum over texts, in nats.
    """
    pictures = read_described_pictures(data)
    tower, losses = train_tower(pictures, images, size=size, descent=descent, checkpoint=out / "checkpoint.pt")
    tower.save_pretrained(out)
    image_processor(size).save_pretrained(out)
    write_making(out, inputs={"data": data}, num_records=len(pictures), descent=descent, losses=losses)
    return losses


def train_tower(
    pictures: Sequence[DescribedPicture], images: Path, *, size: TowerSize, descent: Descent, checkpoint: Path
) -> tuple[SiglipVisionModel, list[float]]:
    """Trains a vision tower as `fit_tower` does, without reading records or saving the result.

    Args:
        pictures: What to learn from.
        images: As in `fit_tower`.
        size: As in `fit_tower`.
        descent: As in `fit_tower`.
        checkpoint: File that keeps the state of an interrupted training.

    Returns:
        The tower, and the loss of every step.
    """
    vocabulary = sorted({word for picture in pictures for region in picture.regions for word in region.words})
    torch.manual_seed(descent.seed)
    model = RegionContrast(SiglipVisionModel(tower_config(size)), vocabulary).to(device())
    processor = image_processor(size)

    def loss_of(indices: list[int]) -> Float[Tensor, ""]:
        batch = [pictures[index] for index in indices]
        return model(load_pixels(batch, images, processor).to(device()), [picture.regions for picture in batch])

    losses = descend(model, loss_of, num_records=len(pictures), descent=descent, checkpoint=checkpoint)
    return model.tower, losses


def tower_config(size: TowerSize) -> SiglipVisionConfig:
    """Describes a SigLIP vision tower of this size, without the pooling head that a VLM does not use."""
    return SiglipVisionConfig(
        hidden_size=size.hidden_size,
        intermediate_size=4 * size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=4,
        image_size=size.image_size,
        patch_size=size.patch_size,
        vision_use_head=False,
    )


def image_processor(size: TowerSize) -> SiglipImageProcessorPil:
    """Makes the image processor of a tower of this size: resized to its pictures' side, values from -1 to 1."""
    side = {"height": size.image_size, "width": size.image_size}
    return SiglipImageProcessorPil(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def load_pixels(
    pictures: Sequence[DescribedPicture], images: Path, processor: SiglipImageProcessorPil
) -> Float[Tensor, "images 3 height width"]:
    """Reads pictures as a tower takes them; one that is missing or damaged is a ValueError naming it and its record."""
    opened = [open_image(images / picture.image, record=picture.id) for picture in pictures]
    return processor(opened, return_tensors="pt")["pixel_values"]
