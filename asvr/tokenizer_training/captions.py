"""The teacher's own text tower, frozen: captions → unit vectors, and the scale and bias of its logits."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, SiglipConfig, SiglipModel

from asvr.targets.checkpoints import resolve


class CaptionTower(nn.Module):
    """Embeds captions as the checkpoint was trained to.

    Args:
        model: A SigLIP checkpoint; its text half, logit scale and logit bias are kept.
        tokenizer: Its tokenizer.
    """

    scale: Float[Tensor, ""]
    bias: Float[Tensor, ""]

    def __init__(self, model: SiglipModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.text = model.text_model
        self.register_buffer("scale", model.logit_scale.detach().exp().squeeze())
        self.register_buffer("bias", model.logit_bias.detach().squeeze())
        self.tokenizer = tokenizer
        self.length: int = model.text_model.config.max_position_embeddings
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, captions: Sequence[str]) -> Float[Tensor, "captions width"]:
        """Gives unit vectors; longer captions are cut, shorter ones padded to full length, as in SigLIP's training."""
        tokens = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        device = next(self.text.parameters()).device
        return F.normalize(self.text(input_ids=tokens["input_ids"].to(device)).pooler_output.float(), dim=-1)


def load_caption_tower(name: str) -> CaptionTower:
    """Loads the text half of a SigLIP checkpoint.

    Raises:
        ValueError: If the checkpoint has none.
    """
    source = resolve(name)
    config = AutoConfig.from_pretrained(source)
    if not isinstance(config, SiglipConfig):
        raise ValueError(
            f"the contrastive loss needs the text tower that {name} was trained with, but its checkpoint is a "
            f"{config.model_type!r}: give a whole SigLIP checkpoint (of fixed resolution) as tower, or --set "
            "semantic.contrastive_weight=0"
        )
    model = SiglipModel.from_pretrained(source, dtype=torch.float32)
    return CaptionTower(model, AutoTokenizer.from_pretrained(source))
