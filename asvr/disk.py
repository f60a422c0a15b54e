"""Files that are whole or absent, one clear error where the disk does not take them, and what identifies them."""

import hashlib
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name to write a file under, so that a reader of `path` finds the old file, or the new one in full.

    Raises:
        OSError: If writing fails; the old file is left as it was.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file in full or not at all, also after a power cut."""
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """Hashes a file, without holding it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
