"""Which parameters train: prefixes of names, checked."""

from collections.abc import Sequence

from asvr.interfaces import TargetEncoder
from asvr.objective import Objective
from asvr.training.adapter import adapter_parameters


def set_trainable(objective: Objective, prefixes: Sequence[str]) -> dict[str, int]:
    """Lets the parameters under the prefixes and adapters train and freezes every other; a target encoder never trains.

    Returns:
        Number of trained parameters under each prefix, and of an adapter as `adapter`.

    Raises:
        ValueError: If a prefix names no parameter.
    """
    targets = {
        id(parameter)
        for module in objective.modules()
        if isinstance(module, TargetEncoder)
        for parameter in module.parameters()
    }
    # A tied weight has several names; it trains if any of them is named.
    named = [
        (name, each) for name, each in objective.named_parameters(remove_duplicate=False) if id(each) not in targets
    ]
    objective.requires_grad_(False)
    counts = dict.fromkeys(prefixes, 0)
    for name, parameter in named:
        for prefix in prefixes:
            if name.startswith(prefix):
                parameter.requires_grad_(True)
                counts[prefix] += parameter.numel()
    for prefix, count in counts.items():
        if not count:
            parts = sorted({".".join(name.split(".")[:3]) for name, _ in named})
            raise ValueError(
                f"trainable: no parameter of the objective begins with {prefix!r}; its parts are {', '.join(parts)}"
            )
    for parameter in adapter_parameters(objective):
        parameter.requires_grad_(True)
        counts["adapter"] = counts.get("adapter", 0) + parameter.numel()
    return counts
