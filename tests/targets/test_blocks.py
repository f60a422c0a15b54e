import json
import math

import pytest
import torch
from torch import Tensor, nn

from asvr.targets.blocks import (
    AttentionProjection,
    ConvProjection,
    LinearProjection,
    ResidualConv,
    ShortcutProjection,
    as_map,
)
from asvr.targets.pixel_decoder import PixelDecoder
from asvr.targets.storage import BLOCK_KINDS

GRID = (2, 3)
DECODER = {"latent_grid": (4, 4), "latent_channels": 64, "level_channels": (32, 64, 64)}


def seeded(block: nn.Module) -> nn.Module:
    """Weights away from the defaults, so that a norm or a bias left out shows."""
    generator = torch.Generator().manual_seed(0)
    for parameter in block.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return block.double()


def vectors(width: int, positions: int = 6) -> Tensor:
    return torch.randn(2, positions, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias


def attend(block: AttentionProjection, x: Tensor, causal: bool) -> Tensor:
    """The heads' outputs, one after the other, by the formula."""
    part = block.attention
    query, key, value = (x @ layer.weight.T for layer in (part.query, part.key, part.value))
    query, value = query + part.query.bias, value + part.value.bias
    heads = []
    for columns in torch.arange(query.shape[-1]).chunk(part.heads):
        scores = query[..., columns] @ key[..., columns].transpose(1, 2) / math.sqrt(len(columns))
        if causal:
            scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ value[..., columns])
    return torch.stack(heads)


@pytest.mark.parametrize(("widths", "causal"), [((12, 4), False), ((4, 12), True), ((4, 4), True)])
def test_attention_projection_is_the_formula(widths: tuple[int, int], causal: bool) -> None:
    block = seeded(AttentionProjection(*widths, causal=causal))
    assert isinstance(block, AttentionProjection)
    x = vectors(widths[0])
    heads = attend(block, norm(x, block.norm_attention), causal)
    # Three heads of four: averaged on the way down, side by side on the way up.
    assert len(heads) == max(widths) // 4
    joined = heads.mean(0) if widths == (12, 4) else torch.cat(list(heads), dim=-1)
    attended = joined @ block.attention.out.weight.T + block.attention.out.bias
    projected = norm(x, block.norm_linear) @ block.linear.weight.T + block.linear.bias + attended
    inner = norm(norm(projected, block.norm_mlp), block.mlp.norm)
    gate = inner @ block.mlp.gate.weight.T + block.mlp.gate.bias
    gelu = 0.5 * gate * (1 + torch.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
    gated = gelu * (inner @ block.mlp.expand.weight.T + block.mlp.expand.bias)
    expected = projected + gated @ block.mlp.reduce.weight.T + block.mlp.reduce.bias
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
def test_only_a_causal_projection_hides_later_tokens(causal: bool) -> None:
    block = seeded(AttentionProjection(4, 12, causal=causal))
    x = vectors(4)
    changed = torch.cat([x[:, :4], -x[:, 4:]], dim=1)
    assert torch.equal(block(x)[:, :4], block(changed)[:, :4]) == causal


def test_a_shortcut_adds_the_shallower_layer_with_its_weight() -> None:
    block = seeded(ShortcutProjection(8, 4, weight=0.6))
    assert isinstance(block, ShortcutProjection)
    deeper, shallower = vectors(16).split(8, dim=-1)
    expected = block.main(deeper) + 0.6 * block.shortcut(shallower)
    torch.testing.assert_close(block(torch.cat([deeper, shallower], dim=-1)), expected)


def test_a_map_has_a_vector_at_its_row_and_column() -> None:
    x = vectors(4)
    rows, columns = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    assert torch.equal(as_map(x, GRID)[:, :, rows, columns], x.transpose(1, 2)[:, :, rows * 3 + columns])


def test_a_convolution_projection_sees_the_neighbours_on_the_grid() -> None:
    block = ConvProjection(32, 32, grid=(5, 7)).double()
    # Normalisation sees the whole map; without it a 1x1 and a 3x3 convolution see the eight neighbours.
    block.block.norm1, block.block.norm2 = nn.Identity(), nn.Identity()
    x = vectors(32, 35).requires_grad_()
    block(x)[0, 2 * 7 + 3].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(-1).view(5, 7) > 0
    assert seen[1:4, 2:5].all() and seen.sum() == 9 and not x.grad[1].any()


@pytest.mark.parametrize(
    "block",
    [
        LinearProjection(4, 8),
        AttentionProjection(4, 12, causal=True),
        ShortcutProjection(8, 4, weight=0.5),
        ConvProjection(32, 64, grid=GRID),
        PixelDecoder(32, GRID, **DECODER, attention_levels=(2,)),
    ],
    ids=lambda block: type(block).__name__,
)
def test_a_block_is_made_again_from_its_description(block: nn.Module) -> None:
    described = json.loads(json.dumps(block.describe()))  # type: ignore[operator]
    again = BLOCK_KINDS[described.pop("kind")](**described)
    assert type(again) is type(block)
    again.load_state_dict(block.state_dict())
    x = vectors(16 if isinstance(block, ShortcutProjection) else next(iter(described.values()))).float()
    assert torch.equal(again(x), block(x))


def test_the_decoder_is_vqgan_s() -> None:
    """Against diffusers' port of it, of which every block may have attention."""
    vae = pytest.importorskip("diffusers.models.autoencoders.vae", reason="diffusers is not installed")
    ours = seeded(PixelDecoder(32, GRID, **DECODER, blocks=1, attention_levels=(1, 2))).network
    kinds = ("AttnUpDecoderBlock2D", "AttnUpDecoderBlock2D", "UpDecoderBlock2D")
    theirs = vae.Decoder(64, 3, up_block_types=kinds, block_out_channels=(32, 64, 64), layers_per_block=1).double()
    state = ours.state_dict()
    theirs.load_state_dict({name: state[our_name(name)].view_as(old) for name, old in theirs.state_dict().items()})
    assert len(state) == len(theirs.state_dict())
    maps = torch.randn(1, 64, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    decoded = ours(maps)
    assert decoded.shape == (1, 3, 16, 20)
    torch.testing.assert_close(decoded, theirs(maps), rtol=1e-9, atol=1e-9)


def our_name(name: str) -> str:
    """The name in taming-transformers of one of diffusers', whose levels begin with the coarsest."""
    words = {
        "mid_block.resnets.0": "mid.block_1",
        "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0": "mid.attn_1",
        **{f"up_blocks.{level}": f"up.{2 - level}" for level in range(3)},
        "upsamplers.0": "upsample",
        "resnets": "block",
        "attentions": "attn",
        "conv_shortcut": "nin_shortcut",
        "conv_norm_out": "norm_out",
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }
    for theirs, ours in words.items():
        name = name.replace(theirs, ours)
    return name


def test_the_decoder_interpolates_to_its_own_grid_and_doubles_at_every_level_but_one() -> None:
    decoder = PixelDecoder(32, GRID, **DECODER)
    assert decoder(vectors(32).float()).shape == (2, 3, 4 * 4, 4 * 4)
    with torch.no_grad():
        half = decoder.bfloat16()(vectors(32).bfloat16())
    assert half.dtype == torch.bfloat16
    # Bilinear interpolation leaves a constant map as it is.
    constant = torch.ones(1, 6, 32).bfloat16()
    assert torch.equal(decoder(constant), decoder.network(decoder.entry(torch.ones(1, 32, 4, 4).bfloat16())))


def test_widths_and_grids_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="from width 12 to 8: one must divide the other"):
        AttentionProjection(12, 8)
    with pytest.raises(ValueError, match=r"width of 48 .* 32 groups need a multiple"):
        ResidualConv(32, 48)
    with pytest.raises(ValueError, match="5 vectors per image for a block made for a grid of 2x3"):
        ConvProjection(32, 32, grid=GRID)(vectors(32, 5).float())
