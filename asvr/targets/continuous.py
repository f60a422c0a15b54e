"""Targets that are features as they are, not codes of them: what a denoising or a cosine head reconstructs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from asvr.disk import writing
from asvr.interfaces import TargetEncoder
from asvr.targets.features import FeatureSource
from asvr.targets.resample import Grid, resample
from asvr.targets.storage import digest, load_source
from asvr.targets.towers import TowerFeatures, fingerprint

CONFIG, STATISTICS = "continuous_targets.json", "statistics.safetensors"


class Standardisation(nn.Module):
    """Brings each channel of features to mean zero and deviation one, by figures measured before.

    Args:
        mean: Of each channel over the visual tokens of many pictures.
        deviation: Standard deviation of each; a channel that never moves has 1 in its place.

    Raises:
        ValueError: If a deviation is not above zero.
    """

    mean: Float[Tensor, " channels"]
    deviation: Float[Tensor, " channels"]

    def __init__(self, mean: Float[Tensor, " channels"], deviation: Float[Tensor, " channels"]) -> None:
        super().__init__()
        if not (deviation > 0).all() or not mean.isfinite().all():
            raise ValueError("a channel's mean is not finite or its deviation not above zero: measure them again")
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())

    @classmethod
    def none(cls, channels: int) -> "Standardisation":
        """Gives one that leaves features as they are."""
        return cls(torch.zeros(channels), torch.ones(channels))

    def forward(self, features: Float[Tensor, "*positions channels"]) -> Float[Tensor, "*positions channels"]:
        """Standardises features."""
        return (features - self.mean) / self.deviation


class ContinuousTargets(TargetEncoder):
    """Features of each visual token, fp32, standardised per channel if they were measured.

    image → `prepare` → features → resampled to the grid → standardised.

    Args:
        features: What is reconstructed.
        statistics: What standardises them; by default they are left as they are.
        grid: Rows and columns of the targets, if not those of the features.
        about: Where the statistics come from; kept in the folder.
    """

    def __init__(
        self,
        features: FeatureSource,
        *,
        statistics: Standardisation | None = None,
        grid: Grid | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.channels = features.dim
        self.grid = grid or features.grid
        self.prepare: Callable[[Image], Tensor] = features.prepare
        self.about = about or {}
        self.statistics = statistics or Standardisation.none(features.dim)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def encode(self, prepared: Shaped[Tensor, "images ..."]) -> Float[Tensor, "images positions channels"]:
        """Gives the targets of each image in raster order, computed in fp32 whatever the model's precision."""
        with torch.autocast(prepared.device.type, enabled=False):
            features = self.features(prepared).float()
            return self.statistics(resample(features, self.features.grid, self.grid))

    def encode_none(self, device: torch.device) -> Float[Tensor, "0 channels"]:
        """Gives the targets of no visual tokens."""
        return torch.empty(0, self.channels, device=device)

    @property
    def tower_sha256(self) -> str | None:
        """Identifies the vision tower whose features these are; None where they are no tower's."""
        return fingerprint(self.features.tower) if isinstance(self.features, TowerFeatures) else None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Says how pictures are prepared, in the image processor's own plain values."""
        return self.features.processor.to_dict()

    def identity(self) -> dict[str, Any]:
        """Says everything that can change a target, in plain values."""
        return {
            "features": self.features.describe(),
            "preprocessing": self.preprocessing,
            "statistics_sha256": fingerprint(self.statistics),
            "grid": list(self.grid),
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the networks, the image processor, the statistics and a readable description.

        Raises:
            OSError: If the disk does not take them.
        """
        folder = Path(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Written last: without it the folder holds no targets, so a save that is cut short is never loaded.
            (folder / CONFIG).unlink(missing_ok=True)
            self.features.save(folder)
            save_file(self.statistics.state_dict(), folder / STATISTICS)
            identity = self.identity()
            config = {**identity, "fingerprint": digest(identity), "channels": self.channels, "about": self.about}
            (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, grid: Grid | None = None) -> "ContinuousTargets":
        """Reads what `save_pretrained` wrote.

        Args:
            folder: A folder of continuous targets.
            grid: Rows and columns of the targets, if not those that they were saved with.

        Raises:
            FileNotFoundError: If the folder holds no continuous targets.
            ValueError: If its files are damaged, or do not belong together.
        """
        folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(
                f"{folder} holds no continuous targets ({CONFIG} is missing): make them with `asvr targets features`"
            )
        try:
            config = json.loads((folder / CONFIG).read_text())
            features = load_source(folder, config["features"])
            statistics = Standardisation(**load_file(folder / STATISTICS))
            known, (rows, columns) = config["statistics_sha256"], config["grid"]
        except (SafetensorError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{folder}: the targets' files are damaged ({error}): make them again") from error
        if fingerprint(statistics) != known:
            raise ValueError(
                f"{folder}: the statistics are not those that {CONFIG} describes: its files come from two sources; "
                "make them again"
            )
        return cls(features, statistics=statistics, grid=grid or (rows, columns), about=config["about"])
