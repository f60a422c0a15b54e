"""Weights of the authors' release → `DepthTransformer`."""

from collections.abc import Mapping

from torch import Tensor

from asvr.heads.depth_transformer import DepthTransformer

RENAMED = {
    "in_mlp_1.weight": "code_projection.weight",
    "in_mlp_1.bias": "code_projection.bias",
    "headnorm.weight": "norm.weight",
}
RENAMED_IN_LAYER = {
    "layernorm1.weight": "norm1.weight",
    "layernorm2.weight": "norm2.weight",
    "self_attention.in_proj_weight": "qkv.weight",
    "self_attention.in_proj_bias": "qkv.bias",
    "self_attention.out_proj.weight": "out.weight",
    "self_attention.out_proj.bias": "out.bias",
}


def load_release_weights(
    head: DepthTransformer, rqtransformer: Mapping[str, Tensor], projector: Mapping[str, Tensor]
) -> None:
    """Fills a head of the same shape with the release's weights, strictly.

    Args:
        head: The head to fill.
        rqtransformer: Weights below `...vision_tokenizer.vision_tower.rqtransformer_semantic.`, names without prefix.
        projector: Weights below `projector.`, names without prefix (`0.weight`, ...).

    Raises:
        RuntimeError: If a name is missing or unexpected, or a shape differs; torch lists them.
    """
    depth = len(head.classifiers)
    state = {f"projector.{name}": value for name, value in projector.items()}
    for name, value in rqtransformer.items():
        state |= _translate(name, value, depth)
    head.load_state_dict(state)


def _translate(name: str, value: Tensor, depth: int) -> dict[str, Tensor]:
    scope, _, rest = name.partition(".")
    if scope == "heads":
        return {f"classifiers.{rest}": value}
    if scope != "head_transformer":
        return {RENAMED.get(name, name): value}
    layer, _, inner = rest.partition(".")
    if inner in ("linear1.bias", "linear2.bias"):
        return {}  # The release creates these and never uses them.
    if inner == "linear1.weight":  # (2E, D*E), read as [inner, depth, outer]
        return {f"layers.{layer}.expand": value.view(len(value), depth, -1).permute(1, 2, 0)}
    if inner == "linear2.weight":  # (E, 2E*D), read as [outer, depth, inner]
        return {f"layers.{layer}.reduce": value.view(len(value), depth, -1).permute(1, 2, 0)}
    return {f"layers.{layer}.{RENAMED_IN_LAYER.get(inner, inner)}": value}
