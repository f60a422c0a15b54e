"""A recipe → the networks that it trains."""

import torch
from torch import nn

from asvr.targets.blocks import AttentionProjection, ConvProjection, LinearProjection, ShortcutProjection
from asvr.targets.features import new_image
from asvr.targets.pixel_decoder import PixelDecoder
from asvr.targets.resample import Grid
from asvr.targets.sources import TowerSpec
from asvr.targets.towers import TowerFeatures
from asvr.tokenizer_training.branches import AppearanceBranch, Bottleneck, SemanticBranch
from asvr.tokenizer_training.captions import load_caption_tower
from asvr.tokenizer_training.moving_quantizer import MovingQuantizer
from asvr.tokenizer_training.objective import TokenizerObjective
from asvr.tokenizer_training.perceptual import load_perceptual
from asvr.tokenizer_training.spec import AppearanceSpec, BlockKind, QuantizerSpec, SemanticSpec, TokenizerRecipe
from asvr.tokenizers.settings import FitSettings

START_ITERATIONS = 10
"""Passes of the k-means that the codebooks begin with; they move on with every step."""


def build_objective(recipe: TokenizerRecipe, *, seed: int) -> TokenizerObjective:
    """Loads the tower and its teacher, and makes fresh branches.

    Args:
        recipe: The recipe.
        seed: Decides the initial weights, and later the codebooks.

    Raises:
        ValueError: If the recipe's widths, layers or losses do not go with its tower, or a network is missing.
    """
    features = TowerSpec(recipe.tower, _layers(recipe), recipe.image_size).build()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        semantic = _semantic(recipe.semantic, features, recipe.tower, seed=seed) if recipe.semantic else None
        appearance = _appearance(recipe.appearance, features, seed=seed) if recipe.appearance else None
    return TokenizerObjective(features, semantic, appearance, train_tower=recipe.train_tower)


def _layers(recipe: TokenizerRecipe) -> tuple[int, ...]:
    """Gives the layers of both branches, the semantic one's first."""
    first = (recipe.semantic.layer,) if recipe.semantic else ()
    return first + (recipe.appearance.layers if recipe.appearance else ())


def _semantic(spec: SemanticSpec, features: TowerFeatures, tower: str, *, seed: int) -> SemanticBranch:
    width = features.tower.config.hidden_size
    bottleneck = Bottleneck(
        _block("semantic.pre", spec.pre, width, spec.quantizer.width, features.grid),
        _quantizer(spec.quantizer, seed),
        _block("semantic.post", spec.post, spec.quantizer.width, width, features.grid, after=True),
    )
    branch = SemanticBranch(bottleneck, spec, load_caption_tower(tower) if spec.contrastive_weight else None)
    if branch.pools:
        _refuse_without_pooling(branch, features)
    return branch


def _refuse_without_pooling(branch: SemanticBranch, features: TowerFeatures) -> None:
    grid = features.grid
    hidden = torch.zeros(1, grid[0] * grid[1], features.tower.config.hidden_size)
    try:
        with torch.no_grad():
            branch.pool(features.tower, hidden)
    except ValueError as error:
        raise ValueError(
            f"{error}; or --set semantic.pooled_weight=0 and semantic.contrastive_weight=0, which leaves the layer's "
            "own distillation"
        ) from error


def _appearance(spec: AppearanceSpec, features: TowerFeatures, *, seed: int) -> AppearanceBranch:
    width = features.tower.config.hidden_size
    # `ShortcutProjection` counts the width of one of its two layers.
    in_width = width if spec.pre == "shortcut" else width * len(spec.layers)
    bottleneck = Bottleneck(
        _block("appearance.pre", spec.pre, in_width, spec.quantizer.width, features.grid, weight=spec.shortcut_weight),
        _quantizer(spec.quantizer, seed),
        _block("appearance.post", spec.post, spec.quantizer.width, spec.decoder.width, features.grid, after=True),
    )
    decoder = PixelDecoder(
        spec.decoder.width,
        features.grid,
        latent_grid=(spec.decoder.latent,) * 2,
        latent_channels=spec.decoder.latent_channels,
        level_channels=spec.decoder.level_channels,
        blocks=spec.decoder.blocks,
        attention_levels=spec.decoder.attention_levels,
    )
    _refuse_other_size(spec, features)
    look = spec.perceptual
    perceptual = load_perceptual(look.backbone, look.layers, features.processor) if look.weight else None
    return AppearanceBranch(bottleneck, decoder, spec, perceptual)


def _refuse_other_size(spec: AppearanceSpec, features: TowerFeatures) -> None:
    side = spec.decoder.latent * 2 ** (len(spec.decoder.level_channels) - 1)
    height, width = features.prepare(new_image()).shape[-2:]
    if (side, side) != (height, width):
        raise ValueError(
            f"the decoder makes {side}x{side} pixels (appearance.decoder.latent={spec.decoder.latent}, doubled "
            f"{len(spec.decoder.level_channels) - 1} times), the image processor {height}x{width}: choose latent and "
            "level_channels so that they agree"
        )


def _quantizer(spec: QuantizerSpec, seed: int) -> MovingQuantizer:
    settings = FitSettings(
        depth=spec.depth,
        num_codes=spec.num_codes,
        shared=spec.shared,
        iterations=START_ITERATIONS,
        decay=spec.decay,
        seed=seed,
    )
    return MovingQuantizer(settings, spec.width)


def _block(
    field: str,
    kind: BlockKind,
    in_width: int,
    out_width: int,
    grid: Grid,
    *,
    after: bool = False,
    weight: float = 0.0,
) -> nn.Module | None:
    """Makes a block; `after` says that it stands after quantisation, `weight` is that of a shortcut."""
    if kind == "none":
        if in_width != out_width:
            raise ValueError(
                f"{field}=none, but its vectors are {in_width} wide on one side and {out_width} on the other: choose a "
                "block, or equal widths"
            )
        return None
    try:
        if kind == "linear":
            return LinearProjection(in_width, out_width)
        if kind == "attention":
            # DualToken's are causal after quantisation.
            return AttentionProjection(in_width, out_width, causal=after)
        if kind == "shortcut" and not after:
            return ShortcutProjection(in_width, out_width, weight=weight)
        if kind == "conv":
            return ConvProjection(in_width, out_width, grid=grid)
    except ValueError as error:
        raise ValueError(f"{field}={kind}: {error}") from error
    raise ValueError(f"{field}={kind}: it adds two layers, so it stands before quantisation only; choose attention")
