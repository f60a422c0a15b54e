"""A visual tokenizer: a feature source and a residual quantiser, saved as one folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from asvr.interfaces import TargetEncoder
from asvr.targets.features import PixelPatches, TowerFeatures
from asvr.targets.residual_quantizer import ResidualQuantizer

CONFIG, CODEBOOKS, TOWER = "visual_tokenizer.json", "codebooks.safetensors", "tower"


class ImagePreparer:
    """One image → normalised pixels `(3, height, width)`, by the model's own image processor.

    Args:
        processor: A stock image processor.
    """

    def __init__(self, processor: BaseImageProcessor) -> None:
        self.processor = processor

    def __call__(self, image: Image) -> Float[Tensor, "3 height width"]:
        """Resizes and normalises."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


class VisualTokenizer(TargetEncoder):
    """Turns an image into codes: features of each visual token, quantised (section 3.2).

    Args:
        features: What is quantised.
        quantizer: How.
        processor: Image processor of the features' own model.
        about: Where the tokenizer comes from and how well it does; kept in its folder.
    """

    def __init__(
        self,
        features: TowerFeatures | PixelPatches,
        quantizer: ResidualQuantizer,
        *,
        processor: BaseImageProcessor,
        about: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.quantizer = quantizer
        self.grid = features.grid
        self.prepare: Callable[[Image], Tensor] = ImagePreparer(processor)
        self.processor = processor
        self.about = about or {}
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def encode(self, prepared: Float[Tensor, "images 3 height width"]) -> Int[Tensor, "images positions depth"]:
        """Gives the codes of each image in raster order."""
        return self.quantizer.encode(self.features(prepared))

    def encode_none(self, device: torch.device) -> Int[Tensor, "0 depth"]:
        """Gives the codes of no visual tokens."""
        return torch.empty(0, self.quantizer.depth, dtype=torch.long, device=device)

    @property
    def tower_sha256(self) -> str | None:
        """Identifies the vision tower whose features are quantised; None where they are no tower's."""
        return fingerprint(self.features.tower) if isinstance(self.features, TowerFeatures) else None

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the codebooks, the tower, its image processor and a readable description."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Written last: without it the folder holds no tokenizer, so a save that is cut short is never loaded.
        (folder / CONFIG).unlink(missing_ok=True)
        save_file({"codebooks": self.quantizer.codebooks.contiguous()}, folder / CODEBOOKS)
        self.processor.save_pretrained(folder)
        if isinstance(self.features, TowerFeatures):
            self.features.tower.save_pretrained(folder / TOWER)
        config = describe(self.features) | {
            "grid": list(self.grid),
            "depth": self.quantizer.depth,
            "num_codes": self.quantizer.num_codes,
            "about": self.about,
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "VisualTokenizer":
        """Reads what `save_pretrained` wrote.

        Raises:
            FileNotFoundError: If the folder holds no visual tokenizer.
            ValueError: If its files do not belong together.
        """
        folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(
                f"{folder} holds no visual tokenizer ({CONFIG} is missing): make one with `asvr tokenizer fit`"
            )
        try:
            config = json.loads((folder / CONFIG).read_text())
            quantizer = ResidualQuantizer(load_file(folder / CODEBOOKS)["codebooks"])
            features = _load_features(folder, config)
        except (SafetensorError, json.JSONDecodeError, KeyError) as error:
            raise ValueError(
                f"{folder}: the visual tokenizer's files are damaged ({error}): make it again with `asvr tokenizer fit`"
            ) from error
        if quantizer.codebooks.shape[2] != features.dim:
            raise ValueError(
                f"{folder}: codebooks {quantizer.codebooks.shape[2]} wide for features {features.dim} wide: "
                "its files come from two tokenizers; make it again with `asvr tokenizer fit`"
            )
        return cls(features, quantizer, processor=load_image_processor(folder), about=config["about"])


def describe(features: nn.Module) -> dict[str, Any]:
    """Says in plain values which features a tokenizer quantises."""
    if isinstance(features, TowerFeatures):
        return {"features": "tower", "layer": features.layer, "tower_sha256": fingerprint(features.tower)}
    assert isinstance(features, PixelPatches)
    return {
        "features": "pixels",
        "patch_size": features.patch_size,
        "image_size": features.grid[0] * features.patch_size,
    }


def fingerprint(tower: PreTrainedModel) -> str:
    """Hashes a tower's weights, so that a tokenizer knows its tower again whatever the folder is called."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_image_processor(folder: str | Path) -> BaseImageProcessor:
    """Loads an image processor in its PIL form, which needs no torchvision."""
    return AutoImageProcessor.from_pretrained(folder, backend="pil")


def _load_features(folder: Path, config: dict[str, Any]) -> TowerFeatures | PixelPatches:
    kind: Literal["tower", "pixels"] = config["features"]
    if kind == "pixels":
        return PixelPatches(config["image_size"], config["patch_size"])
    tower = AutoModel.from_pretrained(folder / TOWER, dtype=torch.float32)
    if fingerprint(tower) != config["tower_sha256"]:
        raise ValueError(
            f"{folder / TOWER} is not the tower that the codebooks were fitted on: make the tokenizer again with "
            "`asvr tokenizer fit`"
        )
    return TowerFeatures(tower, config["layer"])
