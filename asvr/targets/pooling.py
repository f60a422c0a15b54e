"""The pooled output of a vision tower whose hidden state at an inner layer was replaced."""

from typing import TypeGuard

from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, SiglipVisionModel


def can_pool(tower: PreTrainedModel) -> TypeGuard[SiglipVisionModel]:
    """Says whether `pool_from` takes a tower: SigLIP's with its pooling head."""
    return isinstance(tower, SiglipVisionModel) and tower.use_head


def pool_from(
    tower: PreTrainedModel, hidden: Float[Tensor, "images positions dim"], layer: int
) -> Float[Tensor, "images dim"]:
    """Runs what is left of a tower after an inner layer: its later layers, the last norm and the pooling head.

    With the tower's own `hidden_states[layer]` it gives the tower's own `pooler_output`, with a reconstruction of them
    what a tokenizer left of it; gradients flow (DualToken's distillation of the pooled features).

    Args:
        tower: SigLIP's vision model, or SigLIP2's of fixed resolution, which is the same class.
        hidden: Takes the place of `hidden_states[layer]`.
        layer: Index into the tower's `hidden_states`, of which the first are the embeddings; negative counts from the
            last.

    Raises:
        ValueError: If the tower pools in another way: CLIP's pooled output is its class token, which no tokenizer
            quantises, and NaFlex must be told of its padding. If it has no pooling head, or no such layer.
    """
    if not can_pool(tower):
        raise ValueError(
            f"{type(tower).__name__} cannot pool patch features that were replaced: a SigLIP or SigLIP2 tower of fixed "
            "resolution with its pooling head is needed"
        )
    num_states = tower.config.num_hidden_layers + 1
    if not -num_states <= layer < num_states:
        raise ValueError(f"layer {layer} of a vision tower with {num_states} hidden states: choose -2, the paper's")
    for block in tower.encoder.layers[layer % num_states :]:
        hidden = block(hidden, None)
    return tower.head(tower.post_layernorm(hidden))
