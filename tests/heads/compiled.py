"""Compiles a depth transformer with its loss: no graph breaks, one graph for every number of tokens, equal numbers."""

import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from asvr.heads import depth_transformer
from asvr.heads.depth_transformer import DepthTransformer, checkpoint_heads
from asvr.interfaces import HeadLoss


def gradients(head: DepthTransformer, scored: HeadLoss, hidden: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(scored.total, (hidden, *head.parameters())))


def check(head: DepthTransformer) -> None:
    graphs = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(head, backend=graphs, fullgraph=True)
    for tokens in (64, 101):
        hidden, codes = torch.randn(tokens, 10, requires_grad=True), torch.randint(6, (tokens, 2))
        for each in (hidden, codes):
            torch._dynamo.mark_dynamic(each, 0)
        found, expected = compiled(hidden, codes), head(hidden, codes)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(head, found, hidden), gradients(head, expected, hidden))
    assert graphs.frame_count == 1, f"{graphs.frame_count} graphs"


if __name__ == "__main__":
    torch.manual_seed(0)
    head = DepthTransformer(10, torch.randn(2, 6, 5), width=16, num_layers=1, head_width=8)
    check(head)
    # Each part is a graph of its own inside; two show what eight would, in a quarter of the time.
    depth_transformer.PARTS = 2
    checkpoint_heads(head)
    check(head)
