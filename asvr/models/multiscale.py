"""A vision tower that looks at a picture at several scales and puts what it sees side by side (S2).

S2 is "When Do We Not Need Larger Vision Models?" (arXiv 2403.13043). Every scale is cut into squares of the stock
tower's own side, and its map of features is averaged down to the map of the whole picture: more detail in the same
number of visual tokens, each as many times wider as there are scales.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from asvr.models.inner_tower import as_config, patch_features, patch_rows


class MultiScaleTowerConfig(PretrainedConfig):
    """Configuration of `MultiScaleTower`.

    Args:
        tower_config: Of the stock tower inside, or its values as `config.json` holds them.
        scales: Sides of the picture in multiples of that tower's own, from small to large, beginning with 1.
        feature_layer: Which of its hidden states is taken.
    """

    model_type = "asvr_multiscale_tower"
    # As transformers writes it; its newest versions declare a property that this replaces.
    sub_configs = {"tower_config": AutoConfig}  # type: ignore[assignment]  # noqa: RUF012

    def __init__(
        self,
        tower_config: dict[str, Any] | PretrainedConfig | None = None,
        scales: Sequence[int] = (1, 2, 3),
        feature_layer: int = -2,
        **kwargs: Any,
    ) -> None:
        self.tower_config = as_config(tower_config)
        self.scales = list(scales)
        self.feature_layer = feature_layer
        super().__init__(**kwargs)

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures that come: the largest scale."""
        return self.tower_config.image_size * max(self.scales)

    @property
    def patch_size(self) -> int:
        """Side in pixels of what a visual token shows; as many fit into a side as in the stock tower's own."""
        return self.tower_config.patch_size * max(self.scales)

    @property
    def hidden_size(self) -> int:
        """Width of the features that go."""
        return self.tower_config.hidden_size * len(self.scales)

    @property
    def num_hidden_layers(self) -> int:
        """Layers of the stock tower."""
        return self.tower_config.num_hidden_layers


class MultiScaleTower(PreTrainedModel):
    """Gives the features of a stock tower at several scales, side by side, as its only hidden state.

    Scales are made from the picture at the largest one by antialiased bicubic interpolation, as Pillow's (S2's own code
    does without antialiasing, which lets fine patterns alias in the whole picture).

    Args:
        config: Its configuration.
    """

    config_class = MultiScaleTowerConfig
    main_input_name = "pixel_values"
    input_modalities = "image"
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    config: MultiScaleTowerConfig

    def __init__(self, config: MultiScaleTowerConfig) -> None:
        super().__init__(config)
        self.tower: PreTrainedModel = AutoModel.from_config(config.tower_config)
        self.post_init()

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"], **flags: Any) -> BaseModelOutputWithPooling:
        """Gives the features `(images, positions, width * scales)`, the smallest scale first.

        Args:
            pixel_values: Normalised pictures at the largest scale.
            flags: What a caller asks of every tower; there is one hidden state here, and it is always given.
        """
        # The whole picture last, so that a hook on the stock tower is left with the features of it.
        maps = {scale: self._features(pixel_values, scale) for scale in reversed(self.config.scales)}
        features = torch.cat([maps[scale] for scale in self.config.scales], dim=2)
        return BaseModelOutputWithPooling(last_hidden_state=features, hidden_states=(features,))  # type: ignore[arg-type]

    def _features(self, pixel_values: Tensor, scale: int) -> Float[Tensor, "images positions dim"]:
        inner = self.config.tower_config
        resized = resize(pixel_values, inner.image_size * scale)
        features = patch_features(self.tower, cut(resized, scale), self.config.feature_layer)
        return merge(features, scale, patch_rows(inner))


def resize(pixels: Float[Tensor, "images 3 h w"], side: int) -> Float[Tensor, "images 3 side side"]:
    """Resizes pictures to a square by antialiased bicubic interpolation in fp32; those of that size are left alone."""
    if pixels.shape[2:] == (side, side):
        return pixels
    # In fp64, which only tests use, it would be a loss to go through fp32.
    exact = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
    return F.interpolate(exact, size=(side, side), mode="bicubic", antialias=True).to(pixels.dtype)


def cut(pixels: Float[Tensor, "images 3 h w"], parts: int) -> Float[Tensor, "squares 3 side side"]:
    """Cuts each picture into `parts` rows of `parts` squares, in raster order within a picture."""
    squares = pixels.unflatten(3, (parts, -1)).unflatten(2, (parts, -1))
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def merge(
    features: Float[Tensor, "squares positions dim"], parts: int, rows: int
) -> Float[Tensor, "images positions dim"]:
    """Puts the squares' features together to one map of each picture, averaged down to `rows` rows and columns."""
    squares = features.unflatten(1, (rows, rows)).unflatten(0, (-1, parts, parts))
    whole = squares.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
    return F.avg_pool2d(whole, parts).flatten(2).transpose(1, 2)
