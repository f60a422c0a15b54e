"""Which parameters train: prefixes of names, checked."""

from collections.abc import Sequence

from asvr.interfaces import TargetEncoder
from asvr.objective import Objective


def set_trainable(objective: Objective, prefixes: Sequence[str]) -> dict[str, int]:
    """Lets the parameters under the prefixes train and freezes every other; a target encoder never trains.

    Returns:
        Number of trained parameters under each prefix.

    Raises:
        ValueError: If a prefix names no parameter.
    """
    targets = {
        id(parameter)
        for module in objective.modules()
        if isinstance(module, TargetEncoder)
        for parameter in module.parameters()
    }
    counts = dict.fromkeys(prefixes, 0)
    for name, parameter in objective.named_parameters():
        matching = [prefix for prefix in prefixes if name.startswith(prefix) and id(parameter) not in targets]
        parameter.requires_grad_(bool(matching))
        for prefix in matching:
            counts[prefix] += parameter.numel()
    for prefix, count in counts.items():
        if not count:
            parts = sorted({".".join(name.split(".")[:3]) for name, _ in objective.named_parameters()})
            raise ValueError(
                f"trainable: no parameter of the objective begins with {prefix!r}; its parts are {', '.join(parts)}"
            )
    return counts
