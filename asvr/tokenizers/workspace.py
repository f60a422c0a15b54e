"""Where a fit works: its processes, the folder that keeps what they have done, and who is told of it."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from asvr.disk import replacing, write_whole, writing
from asvr.targets.storage import differences
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.settings import OnProgress

BEGUN = "begun.json"


class Workspace:
    """Keeps tensors and plain facts by name, in files that are whole or absent, so that a fit can continue from them.

    Args:
        folder: The folder, which all processes see; made if it does not exist.
        begun: Everything that decides the outcome, in plain values.
        ranks: The processes.
        on_progress: Told of each part of the work that is done.

    Raises:
        ValueError: If the folder holds the state of something else.
    """

    def __init__(self, folder: Path, begun: dict[str, Any], ranks: Ranks, on_progress: OnProgress) -> None:
        self.folder, self.ranks, self.on_progress = folder, ranks, on_progress
        if ranks.is_first and not (folder / BEGUN).is_file():
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / BEGUN, json.dumps(begun, indent=2) + "\n")
        ranks.wait()
        before = json.loads((folder / BEGUN).read_text())
        changed = differences(before, json.loads(json.dumps(begun)))
        if changed:
            raise ValueError(
                f"{folder} is the state of work with other settings ({'; '.join(changed)}): repeat its command to "
                "continue it, delete the folder to begin anew, or choose another --out"
            )

    def save(self, name: str, tensors: dict[str, Tensor], **facts: Any) -> None:
        """Writes tensors and facts under a name, in place of what was there.

        Raises:
            OSError: If the disk does not take them.
        """
        contiguous = {key: one.contiguous() for key, one in tensors.items()}
        with replacing(self._path(name)) as partial:
            save_file(contiguous, partial, {"facts": json.dumps(facts)})

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Reads what was saved under a name."""
        with safe_open(self._path(name), framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        return load_file(self._path(name)), facts

    def has(self, name: str) -> bool:
        """Says whether something was saved under a name."""
        return self._path(name).is_file()

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
