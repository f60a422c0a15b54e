"""Says what a command has left out, on standard error."""

from collections.abc import Iterable

from rich.console import Console


def tell_left_out(reasons: Iterable[str]) -> None:
    """Prints a line for each record that was left out, and why."""
    for reason in reasons:
        Console(stderr=True).print(f"left out: {reason}", markup=False, soft_wrap=True)
