"""Latents of an autoencoder: appearance features that can be turned into pixels again."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn.functional import fold, unfold
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.features import prepared_size
from asvr.targets.preparing import ImagePreparer, load_image_processor
from asvr.targets.towers import fingerprint

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
else:
    # diffusers is optional, and annotations are executed in tests.
    AutoencoderKL = nn.Module

FOLDER = "autoencoder"


class AutoencoderLatents(nn.Module):
    """Latents of a diffusion model's autoencoder, those of a few neighbours at once for each visual token.

    They are the mode of the encoder's distribution, so that equal pictures have equal targets, or a sample of it. They
    are shifted and scaled as the diffusion model of the same release takes them.

    Args:
        autoencoder: `diffusers`' `AutoencoderKL`.
        processor: Image processor that gives square pixels between -1 and 1, as `LatentSpec` makes it.
        patch: Side of the square of latents that one visual token stands for.
        sample: Whether to draw from the distribution anew each time, by torch's global generator (ROSS does).

    Raises:
        ValueError: If the pictures' latents cannot be cut into such squares.
    """

    def __init__(
        self, autoencoder: AutoencoderKL, processor: BaseImageProcessor, patch: int = 2, *, sample: bool = False
    ) -> None:
        super().__init__()
        self.sample = sample
        self.autoencoder = autoencoder
        self.processor = processor
        self.prepare: Callable[[Image], Tensor] = ImagePreparer(processor)
        self.patch = patch
        height, width = prepared_size(self.prepare)
        # Each level but the last halves the picture.
        side = 2 ** (len(autoencoder.config["block_out_channels"]) - 1) * patch
        if height % side or width % side:
            raise ValueError(
                f"pictures of {height}x{width} pixels cannot be cut into visual tokens of {side}x{side}, "
                f"{patch}x{patch} latents: choose an image_size that is a multiple of {side}, such as {27 * side}"
            )
        self.grid = (height // side, width // side)
        self.dim: int = autoencoder.config["latent_channels"] * patch**2

    def forward(self, prepared: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Encodes pixels and cuts the latents, raster order, channels first inside a square."""
        distribution = self.autoencoder.encode(prepared, return_dict=False)[0]
        latents = distribution.sample() if self.sample else distribution.mode()
        scaled = (latents - self._shift) * self.autoencoder.config["scaling_factor"]
        return unfold(scaled, self.patch, stride=self.patch).transpose(1, 2)

    def decode(self, features: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images 3 height width"]:
        """Puts the latents together again, and decodes them to normalised pixels."""
        rows, columns = self.grid
        size = (rows * self.patch, columns * self.patch)
        scaled = fold(features.transpose(1, 2), size, self.patch, stride=self.patch)
        latents = scaled / self.autoencoder.config["scaling_factor"] + self._shift
        return self.autoencoder.decode(latents, return_dict=False)[0]

    @property
    def _shift(self) -> float:
        # None, where a release has no shift.
        return self.autoencoder.config["shift_factor"] or 0.0

    def describe(self) -> dict[str, Any]:
        """Says which features these are."""
        scaling = {"scaling_factor": self.autoencoder.config["scaling_factor"], "shift_factor": self._shift}
        facts = {"kind": "latents", "patch": self.patch, **scaling}
        # Said only where it is so: tokenizers of modes were saved before there were samples.
        facts |= {"sample": True} if self.sample else {}
        return {**facts, "autoencoder_sha256": fingerprint(self.autoencoder)}

    def save(self, folder: Path) -> None:
        """Writes the autoencoder and the image processor."""
        self.autoencoder.save_pretrained(folder / FOLDER)
        self.processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, described: dict[str, Any]) -> "AutoencoderLatents":
        """Reads what `save` wrote; errors are those of `load_autoencoder`."""
        autoencoder, processor = load_autoencoder(str(folder / FOLDER)), load_image_processor(folder)
        return cls(autoencoder, processor, described["patch"], sample=described.get("sample", False))


def load_autoencoder(source: str, subfolder: str | None = None) -> AutoencoderKL:
    """Loads an autoencoder in fp32 from a hub name or folder.

    Args:
        source: Hub name or folder.
        subfolder: Where in it the autoencoder lies, in the release of a whole diffusion model.

    Raises:
        ValueError: If `diffusers` is not installed.
    """
    try:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    except ImportError as error:
        raise ValueError("latents of an autoencoder need diffusers: pip install 'asvr[latents]'") from error
    return AutoencoderKL.from_pretrained(source, subfolder=subfolder, torch_dtype=torch.float32).eval()
