"""Files that are whole or absent, and one clear error where the disk does not take them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what a full or failing disk raises into one error that names the path; encloses nothing but writing.

    Raises:
        OSError: If writing fails. safetensors raises a class of its own, `torch.save` RuntimeError, and neither says
            which file it was.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(
            f"{path} cannot be written ({error}): make room on that disk; the same command then continues from the "
            "last whole checkpoint"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Writes a text file so that a reader finds the old one, or the new one in full."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            partial.write_text(text)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
