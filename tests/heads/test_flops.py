"""What a head says it costs, against what torch counts while it runs."""

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from asvr.heads.cosine import CosineHead
from asvr.heads.denoising import DenoisingHead
from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.diffusion_transformer import DiffusionTransformer
from asvr.heads.linear import LinearHead


@torch.no_grad()
def counted(head: nn.Module, target: torch.Tensor) -> float:
    """FLOPs per token; the plain attention kernel, whose products are counted like any others."""
    hidden = torch.randn(len(target), 24)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        head(hidden, target)
    return counter.get_total_flops() / len(target)


def test_the_depth_transformer_s() -> None:
    head = DepthTransformer(24, torch.randn(5, 11, 6), width=16, num_layers=3, head_width=8)
    assert head.flops_per_token() == counted(head, torch.randint(11, (7, 5)))


def test_the_linear_head_s() -> None:
    head = LinearHead(24, 5, num_codes=11, width=16)
    assert head.flops_per_token() == counted(head, torch.randint(11, (7, 5)))


def test_the_denoising_head_s() -> None:
    network = DiffusionTransformer(24, 5, (2, 3), width=16, num_layers=3, num_heads=2)
    head = DenoisingHead(network, repeats=4)
    assert head.flops_per_token() == counted(head, torch.randn(12, 5))


def test_the_cosine_head_s() -> None:
    head = CosineHead(24, 5, width=16)
    assert head.flops_per_token() == counted(head, torch.randn(7, 5))


def test_the_depth_head_s_at_the_paper_s_size() -> None:
    with torch.device("meta"):
        head = DepthTransformer(4096, torch.zeros(8, 16384, 1152))
    # landscape.md: about 1.57 TFLOP for 729 visual tokens; without the two projections in front of the layers.
    projections = 2 * (4096 * 2048 + 2048**2 + 7 * 1152 * 2048)
    assert abs(729 * (head.flops_per_token() - projections) / 1e12 - 1.57) < 0.005
