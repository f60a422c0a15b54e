"""Features of SigLIP2 NaFlex, which sees every picture in its own proportions, on one grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from transformers import Siglip2ImageProcessorPil, Siglip2VisionModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.preparing import load_image_processor
from asvr.targets.resample import Grid, resample
from asvr.targets.towers import Layers, check_layers, fingerprint, layer_as_json, layer_from_json

PADDING, PATCH, ROW_START = 0, 1, 2
"""What the mark of a patch says: none, one, or the first of its row. Any floating type holds them exactly."""


class NaFlexPreparer:
    """One image → its patches, each with a mark, in one tensor of the same shape for every image.

    Args:
        processor: NaFlex's image processor, which fits the image into `max_num_patches` without distorting it.
    """

    def __init__(self, processor: BaseImageProcessor) -> None:
        self.processor = processor

    def __call__(self, image: Image) -> Float[Tensor, "patches width"]:
        """Resizes, normalises and cuts; the last of the width is the mark, from which the proportions are read."""
        made = self.processor(images=image, return_tensors="pt")
        rows, columns = made["spatial_shapes"][0].tolist()
        marks = torch.full((len(made["pixel_values"][0]),), float(PADDING))
        marks[: rows * columns] = PATCH
        marks[: rows * columns : columns] = ROW_START
        return torch.cat([made["pixel_values"][0], marks.unsqueeze(1)], dim=1)


class NaFlexFeatures(nn.Module):
    """Features of a NaFlex tower's inner layers, resampled from each picture's own rows and columns to one grid.

    Args:
        tower: The vision half of SigLIP2 NaFlex.
        processor: Its image processor.
        layer: Which hidden state, or which several, whose features are then concatenated in that order.
        grid: Rows and columns of the features that are given.

    Raises:
        ValueError: If the tower has no such layer.
    """

    def __init__(
        self, tower: Siglip2VisionModel, processor: Siglip2ImageProcessorPil, layer: Layers = -2, *, grid: Grid
    ) -> None:
        super().__init__()
        self.layers = check_layers(layer, tower.config.num_hidden_layers)
        self.tower = tower
        self.processor: BaseImageProcessor = processor
        self.prepare: Callable[[Image], Tensor] = NaFlexPreparer(processor)
        self.layer = layer
        self.grid = grid
        self.dim: int = tower.config.hidden_size * len(self.layers)

    def forward(self, prepared: Float[Tensor, "images patches width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the layers' features at the tokens of the grid, fp32 where they had to be resampled."""
        pixels, marks = prepared[..., :-1], prepared[..., -1]
        shapes = _shapes(marks)
        states = self.tower(
            pixel_values=pixels,
            pixel_attention_mask=(marks != PADDING).long(),
            spatial_shapes=torch.tensor(shapes, device=marks.device),
            output_hidden_states=True,
        ).hidden_states
        features = torch.cat([states[layer] for layer in self.layers], dim=2)
        return torch.cat(
            [
                resample(own[: rows * columns].unsqueeze(0), (rows, columns), self.grid)
                for own, (rows, columns) in zip(features, shapes, strict=True)
            ]
        )

    def describe(self) -> dict[str, Any]:
        """Says which features these are."""
        which = {"layer": layer_as_json(self.layer), "grid": list(self.grid)}
        return {"kind": "naflex", **which, "tower_sha256": fingerprint(self.tower)}

    def save(self, folder: Path) -> None:
        """Writes the tower and its image processor."""
        self.tower.save_pretrained(folder / "tower")
        self.processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, described: dict[str, Any]) -> "NaFlexFeatures":
        """Reads what `save` wrote."""
        tower = Siglip2VisionModel.from_pretrained(folder / "tower", dtype=torch.float32)
        processor = load_image_processor(folder)
        assert isinstance(processor, Siglip2ImageProcessorPil)
        rows, columns = described["grid"]
        return cls(tower, processor, layer_from_json(described["layer"]), grid=(rows, columns))


def _shapes(marks: Float[Tensor, "images patches"]) -> list[Grid]:
    rows = (marks == ROW_START).sum(1)
    columns = (marks != PADDING).sum(1) // rows
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
