"""The stock tower inside a tower of ours: its configuration, and the patch features of one of its layers."""

from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, SiglipVisionConfig

from asvr.targets.towers import INTERPOLATE_IF_TOLD, leading_tokens


def as_config(tower: dict[str, Any] | PretrainedConfig | None) -> PretrainedConfig:
    """Reads a stock tower's configuration as `config.json` holds it; none gives SigLIP's own defaults."""
    if isinstance(tower, PretrainedConfig):
        return tower
    if tower is None:
        return SiglipVisionConfig()
    return AutoConfig.for_model(**tower)


def patch_rows(config: PretrainedConfig) -> int:
    """Counts the rows of patches, as many as columns, that a stock tower makes of a picture of its own size."""
    return config.image_size // config.patch_size


def patch_features(
    tower: PreTrainedModel, pixel_values: Float[Tensor, "images 3 height width"], layer: int
) -> Float[Tensor, "images positions dim"]:
    """Runs a stock tower and gives one of its hidden states, without class and register tokens, in raster order.

    The layer is named in the call, as LLaVA does, so that no other hidden state is kept in memory.
    """
    options = {"interpolate_pos_encoding": True} if type(tower.config) in INTERPOLATE_IF_TOLD else {}
    states = tower(pixel_values, output_hidden_states=layer, **options).hidden_states
    return states[layer][:, leading_tokens(tower.config) :]
