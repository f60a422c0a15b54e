"""Parameter groups: which peak learning rate each trained parameter has, and whether it decays."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from asvr.recipes.optimisation import Optimisation, ParameterGroup


def group_of(name: str, groups: Sequence[ParameterGroup]) -> ParameterGroup | None:
    """Finds the first group whose prefix fits a parameter's name; None leaves it the stage's own rate."""
    return next((group for group in groups if name.startswith(group.prefix)), None)


def check_groups(objective: nn.Module, optimisation: Optimisation) -> None:
    """Refuses groups without parameters, which would leave a rate of the recipe unused.

    Args:
        objective: What is trained, its parameters frozen or not.
        optimisation: How the stage descends.

    Raises:
        ValueError: If a group has no trained parameter of its own.
    """
    trained = [name for name, parameter in objective.named_parameters() if parameter.requires_grad]
    used = {group_of(name, optimisation.groups) for name in trained}
    for group in optimisation.groups:
        if group not in used:
            raise ValueError(
                f"optimisation.groups.{group.name}: no trained parameter begins with {group.prefix!r}, or an earlier "
                "group has them all: correct the prefix, or leave the group out"
            )


def optimizer_groups(
    parameters: Iterable[tuple[str, nn.Parameter]],
    groups: Sequence[ParameterGroup],
    *,
    decayed: Collection[str],
    weight_decay: float,
) -> Iterator[dict[str, Any]]:
    """Splits trained parameters as an optimiser takes them: by peak learning rate, and each part by whether it decays.

    Args:
        parameters: Parameters by name; the frozen ones are left out.
        groups: Those with a rate of their own.
        decayed: Names of the parameters with weight decay (the Trainer's choice: no bias and no norm).
        weight_decay: AdamW's.

    Yields:
        First those at the optimiser's own rate, since the Trainer logs the first rate, then each group's.
    """
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    for group in (None, *groups):
        own = {} if group is None else {"lr": group.learning_rate}
        members = [(name, parameter) for name, parameter in trained if group_of(name, groups) == group]
        for decays in (True, False):
            chosen = [parameter for name, parameter in members if (name in decayed) == decays]
            yield {"params": chosen, "weight_decay": weight_decay if decays else 0.0, **own}


def group_rates(groups: Iterable[ParameterGroup], *, share: float) -> dict[str, float]:
    """Gives each group's present rate, as the log calls it, where the schedule has come to a share of the peak."""
    return {f"learning_rate[{group.name}]": group.learning_rate * share for group in groups}
