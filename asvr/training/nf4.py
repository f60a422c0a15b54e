"""Frozen linear layers in four bits each weight: NF4 with double quantisation (QLoRA, arXiv 2305.14314, section 3)."""

import os
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def bitsandbytes() -> Any:
    """Imports the package that computes in four bits.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import bitsandbytes
    except ImportError as error:
        raise ValueError(
            "adapter.base=nf4 needs bitsandbytes: install it with `pip install asvr[qlora]`, or set adapter.base=whole"
        ) from error
    return bitsandbytes


def quantise(module: nn.Module) -> None:
    """Puts every linear layer of a module into four bits, in place.

    A layer is quantised on the accelerator that this process trains on, where there is one: a CPU takes minutes for 7B.
    """
    accelerator = torch.accelerator.current_accelerator()
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cpu") if accelerator is None else torch.device(accelerator.type, rank)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear):
            module.set_submodule(name, _in_four_bits(layer, device))


def _in_four_bits(layer: nn.Linear, device: torch.device) -> nn.Linear:
    layers = bitsandbytes().nn
    # Dequantised to fp32, so that the arithmetic from there on, autocast included, is that of whole weights.
    small = layers.Linear4bit(
        layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=torch.float32, device="meta"
    )
    # Its fused CPU kernel answers in bf16 once it is in evaluation mode, and packs the weights another way.
    small.support_avx512bf16_for_cpu = False
    small.weight = layers.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", module=small).to(device)
    small.bias = layer.bias
    return small


def dequantised(layer: nn.Linear) -> Float[Tensor, "out_features in_features"]:
    """Gives the weights that a four-bit layer computes with, in fp32."""
    weight: Any = layer.weight
    return bitsandbytes().functional.dequantize_4bit(weight.data, weight.quant_state)
