"""A visual tokenizer: a feature source and a residual quantiser, saved as one folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from asvr.disk import writing
from asvr.interfaces import TargetEncoder
from asvr.targets.features import FeatureSource
from asvr.targets.resample import Grid, resample
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.storage import CODEBOOKS, CONFIG, describe_block, digest, load_blocks, load_source, save_blocks
from asvr.targets.towers import TowerFeatures, fingerprint


@runtime_checkable
class Decodable(Protocol):
    """A feature source whose features can be turned into pixels again."""

    def decode(self, features: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images 3 height width"]:
        """Gives normalised pixels."""
        ...


class VisualTokenizer(TargetEncoder):
    """Turns an image into codes: features of each visual token, quantised (section 3.2).

    image → `prepare` → features → `pre` → resampled to the grid → quantizer → codes; and back:
    codes → quantised vectors → `post` → features → `decoder` → image.

    Args:
        features: What is quantised.
        quantizer: How.
        pre: Block between features and quantiser, such as a projection to a lower width; none by default.
        post: Block from quantised vectors to features, or to what the decoder takes; none by default.
        decoder: From there to normalised pixels; by default the feature source's own, if it has one.
        grid: Rows and columns of the codes, if not those of the features.
        about: Where the tokenizer comes from and how well it does; kept in its folder.
    """

    def __init__(
        self,
        features: FeatureSource,
        quantizer: ResidualQuantizer,
        *,
        pre: nn.Module | None = None,
        post: nn.Module | None = None,
        decoder: nn.Module | None = None,
        grid: Grid | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.quantizer = quantizer
        self.pre, self.post, self.decoder = pre, post, decoder
        self.grid = grid or features.grid
        self.prepare: Callable[[Image], Tensor] = features.prepare
        self.about = about or {}
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def vectors(self, prepared: Shaped[Tensor, "images ..."]) -> Float[Tensor, "images positions width"]:
        """Gives what is quantised: features after `pre`, at the tokens of the grid, in raster order."""
        features = self.features(prepared)
        projected = features if self.pre is None else self.pre(features)
        return resample(projected, self.features.grid, self.grid)

    @torch.no_grad()
    def encode(self, prepared: Shaped[Tensor, "images ..."]) -> Int[Tensor, "images positions depth"]:
        """Gives the codes of each image in raster order."""
        return self.quantizer.encode(self.vectors(prepared))

    def encode_none(self, device: torch.device) -> Int[Tensor, "0 depth"]:
        """Gives the codes of no visual tokens."""
        return torch.empty(0, self.quantizer.depth, dtype=torch.long, device=device)

    @torch.no_grad()
    def reconstruct(self, codes: Int[Tensor, "images positions depth"]) -> Float[Tensor, "images positions dim"]:
        """Gives what the codes say of the features: quantised vectors after `post`."""
        quantised = self.quantizer.quantised(codes)
        return quantised if self.post is None else self.post(quantised)

    @property
    def can_decode(self) -> bool:
        """Whether codes can be turned into pixels."""
        return self.grid == self.features.grid and (self.decoder is not None or isinstance(self.features, Decodable))

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "images positions depth"]) -> Float[Tensor, "images 3 height width"]:
        """Turns codes into pixels, normalised as the feature source's own; only if `can_decode`."""
        reconstructed = self.reconstruct(codes)
        if self.decoder is not None:
            return self.decoder(reconstructed)
        assert isinstance(self.features, Decodable)
        return self.features.decode(reconstructed)

    def with_grid(self, grid: Grid) -> "VisualTokenizer":
        """Gives a tokenizer of the same parts whose codes lie on another grid over the same picture."""
        parts = {"pre": self.pre, "post": self.post, "decoder": self.decoder}
        return VisualTokenizer(self.features, self.quantizer, **parts, grid=grid, about=self.about)

    @property
    def tower_sha256(self) -> str | None:
        """Identifies the vision tower whose features are quantised; None where they are no tower's."""
        return fingerprint(self.features.tower) if isinstance(self.features, TowerFeatures) else None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Says how pictures are prepared, in the image processor's own plain values."""
        return self.features.processor.to_dict()

    def identity(self) -> dict[str, Any]:
        """Says everything that can change a code, in plain values: equal identities give equal codes."""
        return {
            "features": self.features.describe(),
            "preprocessing": self.preprocessing,
            "pre": None if self.pre is None else {**describe_block(self.pre), "sha256": fingerprint(self.pre)},
            "codebooks_sha256": fingerprint(self.quantizer),
            "depth": self.quantizer.depth,
            "grid": list(self.grid),
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the codebooks, the networks, the image processor and a readable description.

        Raises:
            OSError: If the disk does not take them.
        """
        folder = Path(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Written last: without it the folder holds no tokenizer, so a save that is cut short is never loaded.
            (folder / CONFIG).unlink(missing_ok=True)
            save_file({"codebooks": self.quantizer.books.contiguous()}, folder / CODEBOOKS)
            self.features.save(folder)
            blocks = save_blocks(folder, {"pre": self.pre, "post": self.post, "decoder": self.decoder})
            identity = self.identity()
            config = {
                **identity,
                "fingerprint": digest(identity),
                "num_codes": self.quantizer.num_codes,
                "shared_codebook": len(self.quantizer.books) < self.quantizer.depth,
                "blocks": blocks,
                "about": self.about,
            }
            (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, grid: Grid | None = None) -> "VisualTokenizer":
        """Reads what `save_pretrained` wrote.

        Args:
            folder: A tokenizer's folder.
            grid: Rows and columns of the codes, if not those that the tokenizer was saved with.

        Raises:
            FileNotFoundError: If the folder holds no visual tokenizer.
            ValueError: If its files do not belong together.
        """
        folder = Path(folder)
        config = read_config(folder)
        try:
            quantizer = read_quantizer(folder, config)
            features = load_source(folder, config["features"])
            blocks = load_blocks(folder, config["blocks"])
        except (SafetensorError, json.JSONDecodeError, KeyError, RuntimeError) as error:
            raise damaged(folder, error) from error
        if blocks["pre"] is None and quantizer.dim != features.dim:
            raise ValueError(
                f"{folder}: codebooks {quantizer.dim} wide for features {features.dim} wide: "
                "its files come from two tokenizers; make or import it again"
            )
        rows, columns = config["grid"]
        tokenizer = cls(features, quantizer, **blocks, grid=(rows, columns), about=config["about"])
        if fingerprint(quantizer) != config["codebooks_sha256"]:
            raise ValueError(
                f"{folder}: the codebooks are not those that {CONFIG} describes: its files come from two tokenizers; "
                "make or import it again"
            )
        return tokenizer if grid is None else tokenizer.with_grid(grid)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a tokenizer's description.

    Raises:
        FileNotFoundError: If the folder holds none.
        ValueError: If it is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"{folder} holds no visual tokenizer ({CONFIG} is missing): make one with `asvr tokenizer fit`, `train` or "
            "`import`"
        )
    try:
        return json.loads((folder / CONFIG).read_text())
    except json.JSONDecodeError as error:
        raise damaged(folder, error) from error


def read_quantizer(folder: Path, config: dict[str, Any]) -> ResidualQuantizer:
    """Reads a tokenizer's codebooks, without its networks."""
    return ResidualQuantizer(load_file(folder / CODEBOOKS)["codebooks"], config["depth"])


def damaged(folder: Path, error: Exception) -> ValueError:
    """Makes the error of a folder whose files cannot be read."""
    return ValueError(f"{folder}: the visual tokenizer's files are damaged ({error}): make or import it again")
