"""Where a model's files are: in the folder that was named, or fetched from the hub."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
"""What is fetched of a model: configurations, weights, chat template and tokenizer; no second copy of the weights."""


def find_model(name: str) -> Path:
    """Gives the folder with a model's files; a model of the hub is downloaded into the hub's cache first.

    Args:
        name: A folder, or an id on the Hugging Face hub.

    Raises:
        FileNotFoundError: If there is no such model.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder}: no model here (no config.json). Give a folder that training has saved, or a model's id on "
                "the hub."
            )
        return folder
    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except (OSError, HFValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"{name}: no folder of this name, and no such model could be fetched from the hub ({reason}). Check the "
            "name, or download the model elsewhere and give its folder."
        ) from error
