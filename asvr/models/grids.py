"""How many visual tokens an image takes, and in which grid: the one owner of that arithmetic."""

from transformers import CLIPVisionConfig, LlavaConfig, PretrainedConfig, SiglipVisionConfig

from asvr.targets.towers import leading_tokens

TOWERS = (SiglipVisionConfig, CLIPVisionConfig)
"""Vision towers of the vision-language models that are trained here, by the class of their configuration."""

DROPPED_TOKENS = {"full": 0, "default": 1}
"""Tokens that LLaVA takes away from the front, by `vision_feature_select_strategy`."""


def visual_grid(config: PretrainedConfig) -> tuple[int, int]:
    """Gives the rows and columns of visual tokens that one image has in a model.

    Raises:
        ValueError: If the model or its tower is of a kind whose arithmetic is not known here, or if what the model
            keeps of the tower's tokens is not a grid.
    """
    if not isinstance(config, LlavaConfig):
        raise ValueError(
            f"The visual tokens of a {config.model_type!r} model cannot be counted. Give a 'llava' model, or add its "
            "arithmetic to asvr/models/grids.py."
        )
    tower, strategy = config.vision_config, config.vision_feature_select_strategy
    if not isinstance(tower, TOWERS):
        known = ", ".join(repr(kind.model_type) for kind in TOWERS)
        raise ValueError(
            f"The visual tokens of a {type(tower).__name__} cannot be counted. Use a vision tower of type {known}, or "
            "add its arithmetic to asvr/models/grids.py."
        )
    extra = leading_tokens(tower) - DROPPED_TOKENS[strategy]
    if extra:
        raise ValueError(
            f"A {tower.model_type!r} vision tower with vision_feature_select_strategy {strategy!r} gives {extra:+d} "
            "token beside its grid. Use 'full' with a SigLIP tower and 'default' with a CLIP tower."
        )
    (height, width), (patch_height, patch_width) = _pair(tower.image_size), _pair(tower.patch_size)
    return height // patch_height, width // patch_width


def _pair(size: int | list[int] | tuple[int, ...] | None) -> tuple[int, int]:
    """Reads a size as transformers writes it: one number for a square, or height and width."""
    assert size is not None
    return (size, size) if isinstance(size, int) else (size[0], size[1])
