"""The loss of a head over codes: one linear classifier for each depth, whatever states they read."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from asvr.interfaces import HeadLoss
from asvr.losses import linear_cross_entropy


def code_loss(
    states: Sequence[Float[Tensor, "tokens width"]],
    classifiers: Iterable[nn.Module],
    codes: Int[Tensor, "tokens depth"],
) -> HeadLoss:
    """Scores codes: the mean over depths of the cross-entropy, in nats per code; full logits never exist.

    Args:
        states: What the classifier of each depth reads.
        classifiers: A linear layer for each depth.
        codes: The targets.

    Returns:
        Metrics `loss_depth_<d>` (nats) and `accuracy_depth_<d>` (0 or 1) of each token.
    """
    scored = []
    for state, classifier, code in zip(states, classifiers, codes.unbind(1), strict=True):
        assert isinstance(classifier, nn.Linear)
        scored.append(linear_cross_entropy(state, classifier.weight, code, bias=classifier.bias))
    losses = torch.stack([each.loss for each in scored])
    metrics = {f"loss_depth_{depth}": loss for depth, loss in enumerate(losses)}
    metrics |= {f"accuracy_depth_{depth}": each.correct.float() for depth, each in enumerate(scored)}
    return HeadLoss(torch.stack([each.total for each in scored]).mean(), losses.mean(0), metrics)
