"""A vision tower whose features are the vectors that a visual tokenizer's codes stand for: discrete visual input."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from asvr.models.inner_tower import as_config, patch_features
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.storage import build_block


class DiscreteTowerConfig(PretrainedConfig):
    """Configuration of `DiscreteTower`; the defaults are the paper's tokenizer without networks around it.

    Args:
        tower_config: Of the stock tower inside, or its values as `config.json` holds them.
        feature_layer: Which of its hidden states is quantised.
        depth: Codes per visual token.
        num_codes: Code vectors per codebook.
        code_width: Width of a code vector.
        shared_codebook: Whether all depths share one codebook.
        pre: The tokenizer's block before quantisation, as its folder describes it; None if there is none.
        post: The same of the block after it.
    """

    model_type = "asvr_discrete_tower"
    # As transformers writes it; its newest versions declare a property that this replaces.
    sub_configs = {"tower_config": AutoConfig}  # type: ignore[assignment]  # noqa: RUF012

    def __init__(
        self,
        tower_config: dict[str, Any] | PretrainedConfig | None = None,
        feature_layer: int = -2,
        depth: int = 8,
        num_codes: int = 16384,
        code_width: int = 1152,
        shared_codebook: bool = False,
        pre: dict[str, Any] | None = None,
        post: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.tower_config = as_config(tower_config)
        self.feature_layer = feature_layer
        self.depth, self.num_codes, self.code_width = depth, num_codes, code_width
        self.shared_codebook = shared_codebook
        self.pre, self.post = pre, post
        super().__init__(**kwargs)

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures that come."""
        return self.tower_config.image_size

    @property
    def patch_size(self) -> int:
        """Side in pixels of a patch."""
        return self.tower_config.patch_size

    @property
    def hidden_size(self) -> int:
        """Width of the features that go."""
        return self.code_width if self.post is None else self.post["out_width"]

    @property
    def num_hidden_layers(self) -> int:
        """Layers of the stock tower."""
        return self.tower_config.num_hidden_layers


class Quantisation(nn.Module):
    """Features → the nearest that a visual tokenizer can say: `pre`, codes, their vectors, `post`; all in fp32.

    Args:
        quantizer: The tokenizer's.
        pre: Block before it, if any.
        post: Block after it, if any.
    """

    def __init__(self, quantizer: ResidualQuantizer, *, pre: nn.Module | None, post: nn.Module | None) -> None:
        super().__init__()
        self.quantizer, self.pre, self.post = quantizer, pre, post

    def forward(self, features: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images positions width"]:
        """Quantises the features of each image, in their own dtype again."""
        # Half precision names other codes, and a saved model must see the codes that it was trained with.
        with torch.autocast(features.device.type, enabled=False):
            projected = features.float() if self.pre is None else self.pre(features.float())
            quantised = self.quantizer.quantised(self.quantizer.encode(projected))
            return (quantised if self.post is None else self.post(quantised)).to(features.dtype)


class DiscreteTower(PreTrainedModel):
    """Gives the quantised features of a stock tower as its only hidden state; all of it is frozen.

    Args:
        config: Its configuration.
    """

    config_class = DiscreteTowerConfig
    main_input_name = "pixel_values"
    input_modalities = "image"
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    _keep_in_fp32_modules_strict = {"quantisation"}  # noqa: RUF012

    config: DiscreteTowerConfig

    def __init__(self, config: DiscreteTowerConfig) -> None:
        super().__init__(config)
        self.tower: PreTrainedModel = AutoModel.from_config(config.tower_config)
        books = torch.zeros(1 if config.shared_codebook else config.depth, config.num_codes, config.code_width)
        self.quantisation = Quantisation(
            ResidualQuantizer(books, config.depth),
            pre=None if config.pre is None else build_block(config.pre),
            post=None if config.post is None else build_block(config.post),
        )
        self.post_init()

    @torch.no_grad()
    def forward(self, pixel_values: Float[Tensor, "images 3 height width"], **flags: Any) -> BaseModelOutputWithPooling:
        """Gives the quantised features `(images, positions, width)`; no gradient passes a choice of codes.

        Args:
            pixel_values: Pictures as the tokenizer prepares them.
            flags: What a caller asks of every tower; there is one hidden state here, and it is always given.
        """
        features = self.quantisation(patch_features(self.tower, pixel_values, self.config.feature_layer))
        return BaseModelOutputWithPooling(last_hidden_state=features, hidden_states=(features,))  # type: ignore[arg-type]


def exact_weights(model: nn.Module) -> set[str]:
    """Names the weights of a model that must be saved in fp32 whatever the rest is saved in: they decide codes."""
    quantisations = {name: module for name, module in model.named_modules() if isinstance(module, Quantisation)}
    return {f"{name}.{key}" for name, module in quantisations.items() for key in module.state_dict()}
