"""How the networks of a tokenizer descend."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from asvr.tokenizer_training.spec import TokenizerOptimisation
from asvr.tokenizers.ranks import Ranks


def build_optimiser(parameters: Iterable[nn.Parameter], spec: TokenizerOptimisation) -> torch.optim.AdamW:
    """Makes AdamW, with no decay on biases and norms."""
    given = list(parameters)
    groups = [
        {"params": [one for one in given if one.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [one for one in given if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=_betas(spec))


def build_discriminator_optimiser(
    parameters: Iterable[nn.Parameter], spec: TokenizerOptimisation
) -> torch.optim.Optimizer:
    """Makes the discriminator's Adam."""
    return torch.optim.Adam(parameters, lr=spec.learning_rate, betas=_betas(spec))


def _betas(spec: TokenizerOptimisation) -> tuple[float, float]:
    first, second = spec.betas
    return first, second


def learning_rate(spec: TokenizerOptimisation, step: int) -> float:
    """Gives the rate of a step, counted from zero: a line up to the peak, then a cosine down to zero."""
    if step < spec.warmup_steps:
        return spec.learning_rate * (step + 1) / spec.warmup_steps
    done = (step - spec.warmup_steps) / max(1, spec.steps - spec.warmup_steps)
    return spec.learning_rate * (1 + math.cos(math.pi * done)) / 2


def descend(optimiser: torch.optim.Optimizer, rate: float, ranks: Ranks) -> None:
    """Takes one step along the gradients that all processes have accumulated, averaged."""
    for group in optimiser.param_groups:
        group["lr"] = rate
        for parameter in group["params"]:
            if parameter.grad is not None:
                ranks.total(parameter.grad).div_(ranks.count)
    optimiser.step()
    optimiser.zero_grad()
