"""The layouts of published tokenizer checkpoints: which tensor is what, and which hidden states are quantised."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import nn

from asvr.targets.blocks import AttentionProjection, ConvProjection, ShortcutProjection
from asvr.targets.pixel_decoder import PixelDecoder
from asvr.targets.resample import Grid
from asvr.targets.towers import Layers

ASVR_PIXEL_LAYER_FROM_END = 21
"""Layers between the release's pixel features and the tower's output: it stops at index 22 from the end
(`modeling_rqvaesiglip.py:156`), which is `hidden_states[6]` of 27 layers."""

BranchName = Literal["semantic", "appearance"]


class Tower(NamedTuple):
    """Sizes of the vision tower that a checkpoint holds.

    Args:
        layers: How many layers it has.
        width: Width of its hidden states.
        grid: Rows and columns of its patches.
    """

    layers: int
    width: int
    grid: Grid


@dataclass(frozen=True)
class Codes:
    """Sizes of a residual quantiser, as a checkpoint's configuration states them.

    Args:
        depth: Codes per token.
        codes: Code vectors per codebook, without the padding row.
        width: Their width.
        shared: Whether one codebook serves all depths.
    """

    depth: int
    codes: int
    width: int
    shared: bool

    @classmethod
    def read(cls, config: dict[str, Any]) -> "Codes":
        """Reads them from the quantiser's part of a configuration."""
        return cls(config["code_shape"][-1], config["n_embed"], config["embed_dim"], config["shared_codebook"])


@dataclass(frozen=True)
class Branch:
    """One of a checkpoint's tokenizers: modules of the right shapes, and where their weights are.

    Args:
        layer: Which of the tower's hidden states are quantised.
        codes: Sizes of the quantiser.
        codebooks: What the names of its codebooks begin with.
        pre: Block before quantisation.
        post: Block after it.
        decoder: From there to pixels.
        parts: Modules, also inside those blocks, with the beginning of the names of their weights.
    """

    layer: Layers
    codes: Codes
    codebooks: str
    pre: nn.Module | None = None
    post: nn.Module | None = None
    decoder: PixelDecoder | None = None
    parts: tuple[tuple[nn.Module, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """A layout of checkpoints.

    Args:
        name: What it is called.
        branches: Gives its two tokenizers from the `rqvaesiglip` part of a checkpoint's configuration and its tower.
        parts: First words of the names of all tensors that each tokenizer needs beside the tower.
    """

    name: str
    branches: dict[BranchName, Callable[[dict[str, Any], Tower], Branch]]
    parts: dict[BranchName, tuple[str, ...]]


def asvr_semantic(config: dict[str, Any], tower: Tower) -> Branch:
    """The release's semantic tokenizer: the last layer but one as it is (`modeling_rqvaesiglip.py:156`)."""
    return Branch(tower.layers - 1, Codes.read(config), "quantizer_semantic.codebooks.")


def asvr_appearance(config: dict[str, Any], tower: Tower) -> Branch:
    """The release's pixel tokenizer: the output of layer 6 of 27, counted from the end, between convolutions.

    Raises:
        ValueError: If the tower has fewer layers than the release counts back.
    """
    if tower.layers <= ASVR_PIXEL_LAYER_FROM_END:
        raise ValueError(
            f"a vision tower of {tower.layers} layers: the release's pixel branch reads the one "
            f"{ASVR_PIXEL_LAYER_FROM_END} before the last, so it needs more; import with --only semantic"
        )
    codes = Codes.read(config)
    pre = ConvProjection(tower.width, codes.width, grid=tower.grid)
    post = ConvProjection(codes.width, tower.width, grid=tower.grid)
    decoder = pixel_decoder(config, tower)
    parts = ((pre.block, "prequant_visual."), (post.block, "postquant_visual."), *decoder_parts(decoder))
    return Branch(tower.layers - ASVR_PIXEL_LAYER_FROM_END, codes, "quantizer.codebooks.", pre, post, decoder, parts)


def dualtoken_semantic(config: dict[str, Any], tower: Tower) -> Branch:
    """DualToken's semantic tokenizer, between attention projections."""
    codes = Codes.read(config["vq_sem"])
    pre = AttentionProjection(tower.width, codes.width)
    post = AttentionProjection(codes.width, tower.width, causal=True)
    parts = ((pre, "prequant_sem."), (post, "postquant_sem."))
    return Branch(config["layer_sem"], codes, "quantizer_sem.codebooks.", pre, post, None, parts)


def dualtoken_appearance(config: dict[str, Any], tower: Tower) -> Branch:
    """DualToken's pixel tokenizer: two layers, projected and added with a weight."""
    codes = Codes.read(config["vq_pix"])
    pre = ShortcutProjection(tower.width, codes.width, weight=config["weight_shortcut"])
    post = AttentionProjection(codes.width, tower.width, causal=True)
    decoder = pixel_decoder(config, tower)
    projections = ((pre.main, "prequant_pix."), (pre.shortcut, "prequant_shortcut."), (post, "postquant_pix."))
    layers = (config["layer_recon"], config["layer_shortcut"])
    parts = (*projections, *decoder_parts(decoder))
    return Branch(layers, codes, "quantizer_pix.codebooks.", pre, post, decoder, parts)


def pixel_decoder(config: dict[str, Any], tower: Tower) -> PixelDecoder:
    """Makes the decoder that a configuration describes; VQGAN says by resolution where attention is."""
    described = config["ddconfig"]
    levels = len(described["ch_mult"])
    # VQGAN counts from the resolution of the pixels, halved once per level.
    coarsest = described["resolution"] // 2 ** (levels - 1)
    resolutions = [coarsest * 2 ** (levels - 1 - level) for level in range(levels)]
    return PixelDecoder(
        tower.width,
        tower.grid,
        latent_grid=config["decoder_latent_shape"],
        latent_channels=described["decoder_in_channels"],
        level_channels=[described["ch"] * multiple for multiple in described["ch_mult"]],
        blocks=described["num_res_blocks"],
        attention_levels=[level for level in range(levels) if resolutions[level] in described["attn_resolutions"]],
    )


def decoder_parts(decoder: PixelDecoder) -> tuple[tuple[nn.Module, str], ...]:
    """Says where the weights of a decoder are; both layouts call them the same."""
    return (decoder.entry, "post_quant_conv."), (decoder.network, "decoder.")


PIXELS = ("post_quant_conv", "decoder")

ASVR = Layout(
    "ASVR",
    {"semantic": asvr_semantic, "appearance": asvr_appearance},
    {
        "semantic": ("quantizer_semantic",),
        "appearance": ("quantizer", "prequant_visual", "postquant_visual", *PIXELS),
    },
)
DUALTOKEN = Layout(
    "DualToken",
    {"semantic": dualtoken_semantic, "appearance": dualtoken_appearance},
    {
        "semantic": ("quantizer_sem", "prequant_sem", "postquant_sem"),
        "appearance": ("quantizer_pix", "prequant_pix", "prequant_shortcut", "postquant_pix", *PIXELS),
    },
)

STATISTICS = ("cluster_size_ema", "embed_ema")
"""Last words of the names of what codebooks were updated from."""

TEXT = ("siglip_model.text_model.", "siglip_model.logit_scale", "siglip_model.logit_bias")
"""Beginnings of names of what only text needs."""


OTHERS = (
    ("prequant_semantic", "", "older than ASVR's release: convolutions before the semantic quantiser"),
    ("quantizer_pixel", "", "DualToken's first of March 2026: `pixel` where the present one says `pix`"),
    ("quantizer_sem", "prequant_sem", "DualToken's before its codes became narrow: nothing before the quantiser"),
)
"""Layouts that are known and not read: a part that they have, one that they lack, and what they are."""


def recognise(names: Iterable[str], source: str) -> Layout:
    """Tells a checkpoint's layout from the parts that its tensors belong to.

    Raises:
        ValueError: If it is none of those that can be read, with the parts that told.
    """
    parts = {name.partition(".")[0] for name in names}
    found = f"its parts are {', '.join(sorted(parts)[:20]) or 'none'}"
    for has, lacks, what in OTHERS:
        if has in parts and lacks not in parts:
            why = f"{has} without {lacks}" if lacks else has
            raise ValueError(f"{source} has another layout, {what} ({why}); {found}. Convert a newer checkpoint")
    for layout, quantizer in ((ASVR, "quantizer_semantic"), (DUALTOKEN, "quantizer_sem")):
        if quantizer in parts:
            return layout
    raise ValueError(
        f"{source} is no tokenizer of ASVR's release (quantizer_semantic) or DualToken (quantizer_sem): {found}. "
        "Give the checkpoint of one of them"
    )
