"""What heads count their arithmetic by."""

from torch import nn


def linear_weights(module: nn.Module) -> int:
    """Counts the weights of a module's linear layers, biases left out; each is one multiplication for each token."""
    return sum(each.weight.numel() for each in module.modules() if isinstance(each, nn.Linear))
