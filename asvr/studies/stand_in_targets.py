"""Targets that stand in for published ones: visual tokenizers and continuous targets made of the embedded world."""

from pathlib import Path

from asvr.studies.stand_in_data import Scale, world_pictures
from asvr.studies.stand_in_models import AUTOENCODER_SIDE, TOWER
from asvr.targets.checkpoints import load_tower, load_tower_processor, resolve
from asvr.targets.continuous import ContinuousTargets, Standardisation
from asvr.targets.extract import extract
from asvr.targets.features import FeatureSource, PixelPatches
from asvr.targets.preparing import load_image_processor
from asvr.targets.sources import LatentSpec
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings

ITERATIONS = 10
NUM_MEASURED = 500
"""Pictures from which means and deviations of continuous targets are taken."""


def tower_features(name: str, layer: int = -2) -> TowerFeatures:
    """Gives the features of a tower by its folder or embedded name."""
    return TowerFeatures(load_tower(name), load_tower_processor(name), layer)


def pixel_patches() -> PixelPatches:
    """Gives the pixels of the embedded tower's patches."""
    return PixelPatches(load_image_processor(resolve(TOWER)), load_tower(TOWER).config.patch_size)


def autoencoder_latents(folder: Path) -> FeatureSource:
    """Gives the latents of an autoencoder in the embedded tower's grid."""
    return LatentSpec(str(folder), image_size=AUTOENCODER_SIDE).build()


def fit_stand_in(features: FeatureSource, parts: Path, scale: Scale, out: Path, *, share: float = 1.0) -> None:
    """Fits a visual tokenizer on a share of the world's unlabelled pictures."""
    settings = FitSettings(
        depth=scale.depth,
        num_codes=scale.num_codes,
        iterations=ITERATIONS,
        max_pictures=round(share * scale.unlabelled),
    )
    fit_tokenizer(features, world_pictures(parts), settings=settings, out=out)


def write_continuous(features: FeatureSource, parts: Path, out: Path) -> None:
    """Saves features as targets, standardised per channel by figures of the world's unlabelled pictures."""
    pictures = world_pictures(parts)
    found = extract(features, [pictures.open(index) for index in range(min(NUM_MEASURED, len(pictures)))])
    flat = found.flatten(0, -2)
    statistics = Standardisation(flat.mean(0), flat.std(0).clamp(min=1e-6))
    about = {"pictures": min(NUM_MEASURED, len(pictures))}
    ContinuousTargets(features, statistics=statistics, about=about).save_pretrained(out)
