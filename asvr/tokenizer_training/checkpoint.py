"""A training run as named tensors: what moves, and the optimisers' averages."""

from torch import Tensor, optim

from asvr.tokenizer_training.objective import TokenizerObjective

FROZEN = ("teacher.", "semantic.captions.", "appearance.perceptual.")
"""Parts of an objective that stay where the recipe's checkpoints put them."""


def moving_state(objective: TokenizerObjective) -> dict[str, Tensor]:
    """Gives the tensors that training changes, by name; codebooks and discriminator are among them."""
    frozen = FROZEN if objective.trains_tower else (*FROZEN, "features.")
    return {name: value for name, value in objective.state_dict().items() if not name.startswith(frozen)}


def optimiser_state(optimiser: optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Gives an optimiser's averages, named by prefix, number of the parameter and what they are averages of."""
    kept = optimiser.state_dict()["state"]
    return {f"{prefix}.{number}.{name}": value for number, one in kept.items() for name, value in one.items()}


def restore_optimiser(optimiser: optim.Optimizer, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Sets an optimiser's averages to those kept; parameters that never had a gradient have none."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}."):
            number, name = key[len(prefix) + 1 :].split(".")
            state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
