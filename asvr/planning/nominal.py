"""Targets by the folders that recipes name, before anyone has made them: the shapes that they would have."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import AutoModel, ViTImageProcessorPil

from asvr.interfaces import TargetEncoder
from asvr.models.build import Vlm
from asvr.models.grids import visual_grid
from asvr.models.published import TOWERS
from asvr.recipes.supervision import CodesSpec, FeaturesSpec, TargetSpec
from asvr.targets.checkpoints import load_tower_config
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.features import FeatureSource
from asvr.targets.latents import AutoencoderLatents
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.sources import FEATURES, LatentSpec, Spec, TowerSpec
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures


@dataclass(frozen=True)
class NominalCodes:
    """A visual tokenizer that is still to be made.

    Args:
        features: What it quantises.
        depth: Codes per visual token.
        num_codes: Code vectors per codebook.
    """

    features: Spec
    depth: int = 8
    num_codes: int = 16_384


SIGLIP = "google/siglip-so400m-patch14-384"

CODES: dict[str, NominalCodes] = {
    "tokenizers/siglip-so400m": NominalCodes(FEATURES["siglip"]),
    "tokenizers/siglip-so400m-3m": NominalCodes(FEATURES["siglip"]),
    "tokenizers/siglip2-so400m": NominalCodes(FEATURES["siglip2"]),
    "tokenizers/dinov3": NominalCodes(FEATURES["dinov3"]),
    "tokenizers/depth-anything": NominalCodes(FEATURES["depth-anything"]),
    # The release takes appearance from a shallow layer of SigLIP (modeling_rqvaesiglip.py:156).
    "tokenizers/appearance": NominalCodes(TowerSpec(SIGLIP, layer=-22)),
    # The demo's.
    "runs/tokenizer": NominalCodes(TowerSpec("embedded:tower"), depth=4, num_codes=128),
}
"""Tokenizers of the recipes: 8 codes of 16,384 on the encoder's 27x27 grid, as the release's."""

CONTINUOUS: dict[str, Spec] = {
    "targets/siglip": FEATURES["siglip"],
    "targets/vae": FEATURES["vae"],
    # VIRAL's is the base model, whose last features are 768 wide (`config.json` of cvlab-kaist/VIRAL).
    "targets/dinov2": TowerSpec("facebook/dinov2-base", layer=-1, image_size=378),
}
"""Continuous targets of the recipes."""

FLUX = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
}
"""Shape of FLUX.1's autoencoder: `vae/config.json` of black-forest-labs/FLUX.1-dev on the hub."""


def outline_target(spec: TargetSpec, vlm: Vlm) -> TargetEncoder:
    """Makes a target without weights: of its folder's shape, or of the shape that the folder's name stands for.

    A cache has the shape of the tokenizer whose codes it holds, and need not be there yet.

    Raises:
        ValueError: If there is no folder, and no shape is known by its name.
    """
    if isinstance(spec, CodesSpec):
        spec = replace(spec, cache=None)
    if Path(spec.folder).is_dir():
        return spec.load(visual_grid(vlm.config)).to("meta")
    known = CODES if isinstance(spec, CodesSpec) else CONTINUOUS
    if spec.folder not in known:
        raise ValueError(
            f"there is no folder {spec.folder}, and no shape is known by that name: make it (`asvr tokenizer fit`, "
            f"`asvr targets features`), or name one of {', '.join(known)}"
        )
    if isinstance(spec, FeaturesSpec):
        with torch.device("meta"):
            source = _source(CONTINUOUS[spec.folder])
        # A standardisation checks its figures, which takes real ones.
        return ContinuousTargets(source).to("meta")
    nominal = CODES[spec.folder]
    with torch.device("meta"):
        source = _source(nominal.features)
        books = torch.zeros(nominal.depth, nominal.num_codes, source.dim)
        return VisualTokenizer(source, ResidualQuantizer(books))


def _source(spec: Spec) -> FeatureSource:
    match spec:
        case TowerSpec(model=model, layer=layer, image_size=size):
            config = TOWERS[model] if model in TOWERS else load_tower_config(model)
            side = size or config.image_size
            return TowerFeatures(AutoModel.from_config(config), _processor(side), layer)
        case LatentSpec(patch=patch, image_size=size):
            from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

            return AutoencoderLatents(AutoencoderKL(**FLUX), _processor(size), patch)
    raise AssertionError(spec)


def _processor(side: int) -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": side, "width": side})
