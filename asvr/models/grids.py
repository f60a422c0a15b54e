"""How many visual tokens an image takes, in which grid, and what each shows: the one owner of that arithmetic."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import CLIPVisionConfig, LlavaConfig, LlavaNextConfig, PretrainedConfig, SiglipVisionConfig
from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

from asvr.data.images import Size, read_size
from asvr.data.layout import ImageLayout
from asvr.models.discrete_input import DiscreteTowerConfig
from asvr.models.multiscale import MultiScaleTowerConfig
from asvr.targets.towers import leading_tokens

TOWERS = (SiglipVisionConfig, CLIPVisionConfig)
"""Vision towers of the vision-language models that are trained here, by the class of their configuration."""

OWN_TOWERS = (DiscreteTowerConfig, MultiScaleTowerConfig)
"""Towers of ours, which give a grid and nothing else."""

DROPPED_TOKENS = {"full": 0, "default": 1}
"""Tokens that LLaVA takes away from the front, by `vision_feature_select_strategy`."""


def visual_grid(config: PretrainedConfig) -> tuple[int, int]:
    """Gives the rows and columns of visual tokens that one image, or one crop of it, has in a model.

    Raises:
        ValueError: If the model or its tower is of a kind whose arithmetic is not known here, or if what the model
            keeps of the tower's tokens is not a grid.
    """
    if not isinstance(config, (LlavaConfig, LlavaNextConfig)):
        raise ValueError(
            f"The visual tokens of a {config.model_type!r} model cannot be counted. Give a 'llava' or 'llava_next' "
            "model, or add its arithmetic to asvr/models/grids.py."
        )
    tower, strategy = config.vision_config, config.vision_feature_select_strategy
    if not isinstance(tower, (*TOWERS, *OWN_TOWERS)):
        known = ", ".join(repr(kind.model_type) for kind in TOWERS)
        raise ValueError(
            f"The visual tokens of a {type(tower).__name__} cannot be counted. Use a vision tower of type {known}, or "
            "add its arithmetic to asvr/models/grids.py."
        )
    leading = 0 if isinstance(tower, OWN_TOWERS) else leading_tokens(tower)
    extra = leading - DROPPED_TOKENS[strategy]
    if extra:
        raise ValueError(
            f"A {tower.model_type!r} vision tower with vision_feature_select_strategy {strategy!r} gives {extra:+d} "
            "token beside its grid. Use 'full' with a SigLIP tower and 'default' with a CLIP tower."
        )
    (height, width), (patch_height, patch_width) = _pair(tower.image_size), _pair(tower.patch_size)
    return height // patch_height, width // patch_width


def image_layout(config: PretrainedConfig, size: Size) -> ImageLayout:
    """Says which visual tokens a picture has in a model, and what each of them shows.

    A LLaVA sees one crop of every picture. A LLaVA-NeXT sees the whole picture and then its tiles, whose grids it joins
    into one; it takes away what only padding fills, and ends each row with a token of its own (`pack_image_features`).

    Args:
        config: The model's.
        size: Height and width of the picture in pixels.

    Raises:
        ValueError: As `visual_grid`.
    """
    rows, columns = visual_grid(config)
    if not isinstance(config, LlavaNextConfig):
        return ImageLayout.plain(rows * columns)
    assert isinstance(config.vision_config, PretrainedConfig)
    side = config.vision_config.image_size
    tiles_down, tiles_across = get_anyres_image_grid_shape(size, config.image_grid_pinpoints, side)
    num_crops = 1 + tiles_down * tiles_across
    whole, *tiles = torch.arange(num_crops * rows * columns).view(num_crops, rows, columns)
    joined = torch.stack(tiles).view(tiles_down, tiles_across, rows, columns).transpose(1, 2)
    kept = unpad_image(joined.reshape(1, tiles_down * rows, tiles_across * columns), size)[0]
    shown = torch.cat([whole.flatten(), F.pad(kept, (0, 1), value=-1).flatten()])
    return ImageLayout(shown, num_crops=num_crops, num_positions=num_crops * rows * columns)


def file_layout(config: PretrainedConfig, file: Path, *, record: str) -> ImageLayout:
    """Gives the layout of a picture in a file; its size is read from the file's head, and only where it matters.

    Args:
        config: The model's.
        file: The picture.
        record: Id of the record that shows it, for the error.

    Raises:
        ValueError: As `visual_grid`, or if the file cannot be read.
    """
    if isinstance(config, LlavaConfig):
        return ImageLayout.plain(math.prod(visual_grid(config)))
    return image_layout(config, read_size(file, record=record))


def _pair(size: int | list[int] | tuple[int, ...] | None) -> tuple[int, int]:
    """Reads a size as transformers writes it: one number for a square, or height and width."""
    assert size is not None
    return (size, size) if isinstance(size, int) else (size[0], size[1])
