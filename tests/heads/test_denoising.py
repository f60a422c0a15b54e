import math

import pytest
import torch
from torch import Tensor

from asvr.heads.denoising import DenoisingHead
from asvr.heads.diffusion import NUM_STEPS, noised, signal_shares
from asvr.heads.diffusion_transformer import ConditionedLayer, DiffusionTransformer, grid_waves, step_waves

GRID, CHANNELS, HIDDEN = (2, 3), 5, 10


def head(*, repeats: int = 4, fresh: bool = False) -> DenoisingHead:
    torch.manual_seed(0)
    network = DiffusionTransformer(HIDDEN, CHANNELS, GRID, width=16, num_layers=2, num_heads=2, mlp_ratio=3)
    if not fresh:
        # Freshly made, its gates are shut.
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return DenoisingHead(network, repeats)


def test_the_schedule_is_diffusers_own() -> None:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    # Theirs is fp32, in which 1 - 0.999 is right to 1.3e-5.
    torch.testing.assert_close(signal_shares().float(), theirs.alphas_cumprod, rtol=2e-5, atol=0)
    clean, noise, step = torch.randn(7, 4, 3), torch.randn(7, 4, 3), torch.tensor([0, 1, 250, 499, 500, 998, 999])
    ours = noised(clean, noise, signal_shares().float()[step])
    torch.testing.assert_close(ours, theirs.add_noise(clean, noise, step))


def test_the_last_step_is_capped() -> None:
    shares = signal_shares()
    assert len(shares) == NUM_STEPS and shares.dtype == torch.float64
    # The cosine is zero at the end; without the cap on beta nothing of the signal would be left.
    torch.testing.assert_close(shares[-1] / shares[-2], torch.tensor(0.001, dtype=torch.float64))


def waves(value: float, count: int) -> list[float]:
    return [value / 10_000 ** (each / count) for each in range(count)]


def test_positions_and_steps_are_written_in_waves() -> None:
    # Row 1, column 2 of six: column before row, sines before cosines.
    expected = [wave(angle) for place in (2, 1) for wave in (math.sin, math.cos) for angle in waves(place, 4)]
    torch.testing.assert_close(grid_waves(GRID, 16)[5], torch.tensor(expected))
    expected = [wave(angle) for wave in (math.cos, math.sin) for angle in waves(417, 128)]
    torch.testing.assert_close(step_waves(torch.tensor([417]))[0], torch.tensor(expected), rtol=0, atol=1e-4)


def normed(state: Tensor, eps: float = 1e-6) -> Tensor:
    return (state - state.mean()) / (state.var(correction=0) + eps).sqrt()


def layer_by_hand(layer: ConditionedLayer, state: Tensor, told: Tensor) -> Tensor:
    """One position and one attention head at a time."""
    parts = [layer.modulation(each).chunk(6) for each in told]
    seen = [layer.qkv(normed(each) * (1 + part[1]) + part[0]).chunk(3) for each, part in zip(state, parts, strict=True)]
    after = []
    for each, (query, _, _), part in zip(state, seen, parts, strict=True):
        mixed = []
        for cut in (slice(0, 8), slice(8, 16)):
            share = torch.stack([query[cut] @ key[cut] / 8**0.5 for _, key, _ in seen]).softmax(0)
            mixed.append(sum(weight * value[cut] for weight, (_, _, value) in zip(share, seen, strict=True)))
        each = each + part[2] * layer.out(torch.cat(mixed))
        inner = torch.nn.functional.gelu(layer.expand(normed(each) * (1 + part[4]) + part[3]), approximate="tanh")
        after.append(each + part[5] * layer.reduce(inner))
    return torch.stack(after)


@torch.no_grad()
def test_the_error_is_that_of_the_network_by_hand() -> None:
    ours = head(repeats=2).double()
    net, draw = ours.network, lambda *shape: torch.randn(*shape, dtype=torch.float64)
    hidden, target, noise = draw(12, HIDDEN), draw(12, CHANNELS), draw(4, 6, CHANNELS)
    # The head computes in fp32; the reference is exact.
    single = head(repeats=2)
    step = torch.tensor([3, 700, 999, 0])
    found = single.errors(hidden.float(), target.float(), step, noise.float())
    for index in range(4):
        image = slice(0, 6) if index in (0, 2) else slice(6, 12)
        share = signal_shares()[step[index]]
        state = net.target_in(share.sqrt() * target[image] + (1 - share).sqrt() * noise[index]) + net.positions
        waved = step_waves(step[index : index + 1])[0].double()
        condition = torch.stack([net.condition_in(torch.nn.functional.silu(normed(h, 1e-5))) for h in hidden[image]])
        told = torch.nn.functional.silu(net.step_in(waved) + condition)
        for layer in net.layers:
            assert isinstance(layer, ConditionedLayer)
            state = layer_by_hand(layer, state, told)
        shift, scale = net.final_modulation(told).chunk(2, -1)
        guessed = net.target_out(torch.stack([normed(each) for each in state]) * (1 + scale) + shift)
        expected = (guessed - noise[index]).square().mean(-1)
        torch.testing.assert_close(found[index], expected.float(), rtol=2e-4, atol=1e-4)


def test_a_fresh_head_guesses_that_there_is_no_noise() -> None:
    hidden, target, noise = torch.randn(12, HIDDEN), torch.randn(12, CHANNELS), torch.randn(8, 6, CHANNELS)
    errors = head(fresh=True).errors(hidden, target, torch.randint(1000, (8,)), noise)
    assert torch.equal(errors, noise.square().mean(-1))


def test_the_loss_is_the_mean_over_draws_and_its_halves_average_to_it() -> None:
    ours, hidden, target = head(), torch.randn(12, HIDDEN), torch.randn(12, CHANNELS)
    torch.manual_seed(5)
    scored = ours(hidden, target)
    torch.manual_seed(5)
    step, noise = torch.randint(1000, (8,)), torch.randn(8, 6, CHANNELS)
    errors = ours.errors(hidden, target, step, noise)
    # Draw after draw of all pictures: token 7 is position 1 of the second picture.
    torch.testing.assert_close(scored.per_token[7], errors[1::2, 1].mean())
    assert {bool(each) for each in step < 500} == {True, False}
    little, much = (scored.metrics[f"loss_{name}_noise"] for name in ("little", "much"))
    torch.testing.assert_close((little + much) / 2, scored.per_token)
    torch.testing.assert_close(little[0], 2 * (errors[::2, 0] * (step[::2] < 500)).sum() / 4)


def test_the_condition_gets_a_gradient_and_pictures_do_not_mix() -> None:
    ours = head()
    hidden = torch.randn(12, HIDDEN, requires_grad=True)
    step, noise = torch.tensor([100, 900]), torch.randn(2, 6, CHANNELS)
    ours.repeats = 1
    ours.errors(hidden, torch.randn(12, CHANNELS), step, noise)[0].sum().backward()
    assert hidden.grad is not None and hidden.grad[:6].all() and not hidden.grad[6:].any()


def test_no_pictures_reach_every_parameter() -> None:
    ours = head()
    scored = ours(torch.empty(0, HIDDEN), torch.empty(0, CHANNELS))
    assert scored.per_token.shape == (0,) and all(each.shape == (0,) for each in scored.metrics.values())
    scored.total.backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name


def test_mixed_precision_changes_nothing() -> None:
    ours, hidden, target = head(), torch.randn(6, HIDDEN).bfloat16(), torch.randn(6, CHANNELS)
    torch.manual_seed(1)
    plain = ours(hidden.float(), target).per_token
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ours(hidden, target).per_token
    assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)


def test_it_has_the_release_s_size() -> None:
    with torch.device("meta"):
        ours = DenoisingHead(DiffusionTransformer(4096, 64, (27, 27)))
    width = 1024

    def linear(inner: int, outer: int) -> int:
        return inner * outer + outer

    layer = linear(width, 6 * width) + linear(width, 3 * width) + linear(width, width) + 2 * linear(width, 4 * width)
    # The second of the MLP has the same matrix, but a bias of one width.
    layer -= 3 * width
    ends = linear(64, width) + linear(width, 64) + linear(width, 2 * width) + linear(4096, width)
    expected = 3 * layer + ends + linear(256, width) + linear(width, width)
    # landscape.md, section 4: about 64.4 M at a 4096-wide language model.
    assert sum(each.numel() for each in ours.parameters()) == expected == 64_408_640


@pytest.mark.parametrize(("width", "num_heads"), [(18, 3), (16, 3), (0, 1), (16, 0)])
def test_a_width_that_cannot_be_cut_is_refused(width: int, num_heads: int) -> None:
    with pytest.raises(
        ValueError, match=r"multiple of the number of heads and of four; change the recipe's head.width"
    ):
        DiffusionTransformer(HIDDEN, CHANNELS, GRID, width=width, num_heads=num_heads)


def test_nothing_that_can_be_computed_is_saved() -> None:
    assert {"signal", "network.positions"}.isdisjoint(head().state_dict())
