"""Feature sources by name: those of the paper and its rivals, each a value that builds it from published checkpoints.

What `dataclasses.replace` changes in one of `FEATURES` makes another: `replace(FEATURES["dinov3"], layer=-1)`.
"""

from dataclasses import dataclass

from transformers import Siglip2ImageProcessorPil, Siglip2VisionModel, ViTImageProcessorPil
from transformers.image_processing_utils import BaseImageProcessor

from asvr.targets.checkpoints import load_tower, load_tower_config, load_tower_processor, resolve
from asvr.targets.features import PixelPatches
from asvr.targets.latents import AutoencoderLatents, load_autoencoder
from asvr.targets.naflex import NaFlexFeatures
from asvr.targets.resample import Grid
from asvr.targets.squaring import changed, squared
from asvr.targets.towers import Layers, TowerFeatures


@dataclass(frozen=True)
class TowerSpec:
    """Features of a vision tower: SigLIP, SigLIP2 of fixed resolution, CLIP, DINOv2, DINOv3, Depth Anything's encoder.

    Args:
        model: Hub name, folder or embedded name of the checkpoint.
        layer: Which hidden state, or which several, concatenated.
        image_size: Side in pixels of the square that the whole picture is resized to; None leaves the checkpoint's own
            image processor as it is, which crops (CLIP, DINOv2) or keeps the aspect ratio (Depth Anything, refused).
    """

    model: str
    layer: Layers = -2
    image_size: int | None = None

    def build(self) -> TowerFeatures:
        """Loads the tower; errors are those of `load_tower`, `squared` and `TowerFeatures`."""
        return TowerFeatures(load_tower(self.model), _processor(self.model, self.image_size), self.layer)


@dataclass(frozen=True)
class NaFlexSpec:
    """Features of SigLIP2 NaFlex.

    Args:
        model: Hub name or folder of the checkpoint.
        layer: Which hidden state, or which several, concatenated.
        grid: Rows and columns that every picture's features are resampled to.
        max_patches: Patches that a picture is resized to have at most; None leaves the checkpoint's own number.
    """

    model: str
    layer: Layers = -2
    grid: Grid = (27, 27)
    max_patches: int | None = None

    def build(self) -> NaFlexFeatures:
        """Loads the tower.

        Raises:
            ValueError: If the checkpoint is no NaFlex one.
        """
        tower, processor = load_tower(self.model), load_tower_processor(self.model)
        if not isinstance(tower, Siglip2VisionModel) or not isinstance(processor, Siglip2ImageProcessorPil):
            raise ValueError(f"{self.model} is a {type(tower).__name__}, no SigLIP2 of type NaFlex: use `TowerSpec`")
        if self.max_patches is not None:
            processor = changed(processor, {"max_num_patches": self.max_patches})
        return NaFlexFeatures(tower, processor, self.layer, grid=self.grid)


@dataclass(frozen=True)
class PixelSpec:
    """Pixel patches as a vision tower's image processor makes them.

    Args:
        model: Hub name, folder or embedded name of the tower; its weights are not loaded.
        patch_size: Side of a patch in pixels; None takes the tower's.
        image_size: As in `TowerSpec`.
    """

    model: str
    patch_size: int | None = None
    image_size: int | None = None

    def build(self) -> PixelPatches:
        """Loads the image processor; errors are those of `squared` and `PixelPatches`."""
        patch_size = self.patch_size or load_tower_config(self.model).patch_size
        return PixelPatches(_processor(self.model, self.image_size), patch_size)


@dataclass(frozen=True)
class LatentSpec:
    """Latents of an autoencoder.

    Args:
        model: Hub name or folder of the release.
        subfolder: Where in it the autoencoder lies; None if it is released alone.
        patch: Side of the square of latents that one visual token stands for.
        image_size: Side in pixels of the square that the whole picture is resized to.
        sample: Whether to draw latents from the encoder's distribution, not to take its mode.
    """

    model: str
    subfolder: str | None = None
    patch: int = 2
    image_size: int = 432
    sample: bool = False

    def build(self) -> AutoencoderLatents:
        """Loads the autoencoder; errors are those of `load_autoencoder` and `AutoencoderLatents`."""
        side = {"height": self.image_size, "width": self.image_size}
        # Mean and deviation of .5: pixels between -1 and 1, as every one of these autoencoders takes them.
        processor = ViTImageProcessorPil(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True)
        autoencoder = load_autoencoder(resolve(self.model), self.subfolder)
        return AutoencoderLatents(autoencoder, processor, self.patch, sample=self.sample)


Spec = TowerSpec | NaFlexSpec | PixelSpec | LatentSpec

FEATURES: dict[str, Spec] = {
    # The paper's encoder and semantic target. 27x27, 1152 wide.
    "siglip": TowerSpec("google/siglip-so400m-patch14-384"),
    # Table 9. 27x27, 1152 wide. SigLIP2 of fixed resolution is published as a model of type SigLIP.
    "siglip2": TowerSpec("google/siglip2-so400m-patch14-384"),
    # 1152 wide; a square picture has 27 rows of 27 patches of its own.
    "siglip2-naflex": NaFlexSpec("google/siglip2-so400m-patch16-naflex", max_patches=729),
    # The encoder of LLaVA-1.5, cropping as it does there. 24x24, 1024 wide.
    "clip": TowerSpec("openai/clip-vit-large-patch14-336"),
    # 27x27, 1024 wide: the encoder's grid, so that a code describes what its visual token shows. As all below.
    "dinov2": TowerSpec("facebook/dinov2-large", image_size=378),
    # Table 10, which does not say the size. 1024 wide. Its licence is accepted on the hub.
    "dinov3": TowerSpec("facebook/dinov3-vitl16-pretrain-lvd1689m", image_size=432),
    # Table 10, which does not say the size. 1024 wide.
    "depth-anything": TowerSpec("LiheYoung/depth-anything-large-hf", image_size=378),
    # Table 4's appearance target, as ROSS releases it: 2x2 latents of 16 channels, 64 wide. Licence as above.
    "vae": LatentSpec("black-forest-labs/FLUX.1-dev", "vae"),
    # The encoder's own pixels, 14x14 of three colours: 588 wide.
    "pixels": PixelSpec("google/siglip-so400m-patch14-384"),
}
"""Feature sources by the name that a user types."""


def _processor(model: str, image_size: int | None) -> BaseImageProcessor:
    own = load_tower_processor(model)
    return own if image_size is None else squared(own, image_size)
