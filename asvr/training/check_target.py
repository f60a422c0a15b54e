"""Checks that targets lie where the model's visual tokens lie, and are what they are taken for."""

from collections.abc import Callable, Mapping
from typing import Any

from transformers import PretrainedConfig

from asvr.interfaces import TargetEncoder
from asvr.models.any_resolution import crop_preprocessing
from asvr.models.build import VlmProcessor
from asvr.models.grids import visual_grid
from asvr.recipes.supervision import CodesSpec, SupervisionSpec
from asvr.targets.cache import CachedCodes
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.tokenizer import VisualTokenizer

Loaded = VisualTokenizer | CachedCodes | ContinuousTargets
"""Targets as they lie in their folder, before they look at any model."""


def check_grid(name: str, spec: SupervisionSpec, target: TargetEncoder, config: PretrainedConfig) -> None:
    """Refuses a target whose grid is not that of the model's visual tokens.

    Raises:
        ValueError: If they differ.
    """
    if target.grid != visual_grid(config):
        raise ValueError(
            f"supervision {name!r}: {spec.target.folder} has the grid {target.grid}, but an image has "
            f"{visual_grid(config)} visual tokens in the model: fit a tokenizer on a tower with the model's grid, or "
            "let its features be resampled by --set stages.STAGE.supervision.NAME.target.resample=true"
        )


def check_layer(name: str, spec: SupervisionSpec, config: PretrainedConfig) -> None:
    """Refuses a hidden state that the language model does not have.

    Raises:
        ValueError: If the head is to read one.
    """
    num_states = config.get_text_config().num_hidden_layers + 1
    if not -num_states <= spec.layer < num_states:
        raise ValueError(
            f"supervision {name!r}: layer is {spec.layer}, but the language model has {num_states} hidden states: "
            "choose -1, the one that the text head reads, or a layer of the model"
        )


def check_view(name: str, spec: SupervisionSpec, target: Loaded, processor: VlmProcessor) -> None:
    """Refuses a target that sees another part of the picture than the model: it would lie beside its visual token.

    Raises:
        ValueError: If one of them crops pictures, or crops more of them, and the other does not.
    """
    theirs, ours = kept_share(target.preprocessing), kept_share(processor.image_processor.to_dict())
    if theirs != ours:
        raise ValueError(
            f"supervision {name!r}: {spec.target.folder} sees {_in_words(theirs)}, the model "
            f"{_in_words(ours)}, so a target would describe another place than its visual token shows: make them of "
            f"pictures prepared as the model's are (`{_made_by(spec)} --image-size` leaves out the crop)"
        )


def kept_share(preprocessing: Mapping[str, Any]) -> float | None:
    """Gives the share of a picture's shorter side that a centre crop keeps; None where the whole picture is seen."""
    if not preprocessing.get("do_center_crop"):
        return None
    return min(preprocessing["crop_size"].values()) / min(preprocessing["size"].values())


def _in_words(share: float | None) -> str:
    return "whole pictures" if share is None else f"the central square of {share:.1%} of the shorter side"


def _made_by(spec: SupervisionSpec) -> str:
    return "asvr tokenizer fit" if isinstance(spec.target, CodesSpec) else "asvr targets features"


def check_own_tower(field: str, target: Loaded, tower: Callable[[], str], processor: VlmProcessor) -> None:
    """Refuses targets that cannot be read off the model's own vision tower; cached codes are not read off it.

    Raises:
        ValueError: If it was made of another tower, or of pictures prepared otherwise.
    """
    if target.tower_sha256 != tower():
        raise ValueError(
            f"{field}: it was fitted on another vision tower than the model's: make one with `asvr tokenizer fit "
            f"--tower ...` or `asvr targets features --tower ...`, or set {field}.own_tower=false if the difference is "
            "meant, and a cache of its codes (`asvr targets cache`) if no second tower is to run"
        )
    if isinstance(target, CachedCodes):
        return
    theirs, ours = target.preprocessing, crop_preprocessing(processor.image_processor)
    differing = [key for key in ours if ours[key] != theirs.get(key)]
    if differing:
        raise ValueError(
            f"{field}: its pictures are prepared otherwise than the model's, {', '.join(differing)} differ, so the "
            f"model's features are not those of the targets: set {field}.own_tower=false, which runs a second tower"
        )
