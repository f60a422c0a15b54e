"""How a stage descends, and what of the language model it descends on."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Parameters with a peak learning rate of their own.

    Args:
        name: What logs and `--set` call it.
        prefix: Prefix of the names of its parameters in the objective.
        learning_rate: Their peak learning rate.
    """

    name: str
    prefix: str
    learning_rate: float

    def __post_init__(self) -> None:
        """Refuses a rate that cannot train."""
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"optimisation.groups.{self.name}.learning_rate is {self.learning_rate}: it must be a number above zero"
            )


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How a stage descends: AdamW with a cosine schedule.

    Args:
        batch_size: Conversations per optimisation step, over all ranks and accumulated micro-batches.
        learning_rate: Peak learning rate.
        groups: Parameters with another peak rate; the first group whose prefix fits a parameter has it.
        epochs: Passes over the stage's conversations.
        warmup_ratio: Share of the steps in which the rate rises.
        weight_decay: AdamW's.
        max_grad_norm: Gradients are scaled down to this norm.
        similar_lengths: Conversations of similar length that stand together in a step, of which it has as many such
            blocks as fit; 1 draws each by itself, as the paper does. Padding is least where a micro-batch is one block
            or a part of one.
    """

    batch_size: int
    learning_rate: float
    groups: tuple[ParameterGroup, ...] = ()
    epochs: float = 1.0
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    similar_lengths: int = 1

    def __post_init__(self) -> None:
        """Refuses what cannot train."""
        above_zero = {
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "max_grad_norm": self.max_grad_norm,
        }
        for name, value in above_zero.items():
            if not 0 < value < math.inf:
                raise ValueError(f"optimisation.{name} is {value}: it must be a number above zero")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"optimisation.warmup_ratio is {self.warmup_ratio}: it is a share, from 0 to below 1")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"optimisation.weight_decay is {self.weight_decay}: it must be zero or above")
        if self.similar_lengths < 1 or self.batch_size % self.similar_lengths:
            raise ValueError(
                f"optimisation.similar_lengths is {self.similar_lengths}: a step of {self.batch_size} conversations "
                "cannot be cut into blocks of so many; choose a divisor of batch_size"
            )
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise ValueError(f"optimisation.groups has two of one name among {', '.join(names)}: name each differently")


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """Low-rank adapters on every linear layer of the language model's blocks, instead of training it whole.

    They are merged when the stage is saved, so that what is saved is a stock model as ever.

    Args:
        rank: Rank of each adapter.
        alpha: Scale of an adapter's output, divided by its rank.
        dropout: On the adapter's input.
        base: What the frozen weights are kept in while training: as they are, or four bits each (QLoRA).
    """

    rank: int = 128
    alpha: int = 256
    dropout: float = 0.05
    base: Literal["whole", "nf4"] = "whole"

    def __post_init__(self) -> None:
        """Refuses sizes that make no adapter."""
        if self.rank < 1 or self.alpha < 1 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"adapter has rank {self.rank}, alpha {self.alpha} and dropout {self.dropout}: rank and alpha must "
                "be one at least, dropout a share from 0 to below 1"
            )
