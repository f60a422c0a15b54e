"""Memory beside what a real step holds and keeps, byte by byte."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asvr.derive import derive
from asvr.heads.depth_transformer import PARTS, DepthTransformer, checkpoint_heads
from asvr.interfaces import TargetEncoder
from asvr.objective import Supervision
from asvr.planning.memory import NF4, Memory, Share, States, gathered, head_bytes, kept_bytes, layer_bytes, states
from asvr.planning.parameters import stage_outline
from asvr.planning.stage import shares
from asvr.recipes import RECIPES
from tests.planning.step import LENGTH, VISUAL, make_step

SEVEN = Share(parameters=7_000, trained=5_000, buffers=100, block=200, blocks=6_000)


class FixedCodes(TargetEncoder):
    def encode(self, prepared: torch.Tensor) -> torch.Tensor:
        return prepared

    def encode_none(self, device: torch.device) -> torch.Tensor:
        return torch.zeros(0, 8, dtype=torch.long, device=device)


def bytes_of(tensors: list[torch.Tensor]) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("way", ["own tower", "second tower", "cache"])
@pytest.mark.parametrize("stage", ["pretrain", "instruct"])
def test_one_device_holds_what_a_real_step_holds(
    stage: str, way: str, ways: dict[str, dict[str, str]], parts: Path
) -> None:
    step = make_step("asvr-vicuna-7b", stage, parts, **ways[way])
    trained = [parameter for parameter in step.real.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    step.real(**step.batch)["loss"].backward()
    optimizer.step()
    said = states(shares(step.stage, step.outline), "ddp", gpus=1, accumulation=1, precision="fp32")
    # Whole numbers beside the weights (position ids and steps) are no weights.
    buffers = [each for each in step.real.buffers() if each.is_floating_point()]
    integers = [each for each in step.real.buffers() if not each.is_floating_point()]
    assert said.weights == bytes_of([*step.real.parameters(), *buffers]) + 4 * sum(each.numel() for each in integers)
    assert said.gradients == bytes_of([each.grad for each in trained if each.grad is not None])
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert said.optimiser == bytes_of(moments)


def test_sharing_cuts_what_it_says() -> None:
    def bytes_each(strategy: str, accumulation: int = 1, precision: str = "bf16") -> tuple[float, float, float]:
        said = states(SEVEN, strategy, gpus=4, accumulation=accumulation, precision=precision)  # type: ignore[arg-type]
        return said.weights - 400, said.gradients, said.optimiser

    assert bytes_each("ddp") == (28_000, 2 * 20_000, 40_000)
    assert bytes_each("fsdp") == (7_000, 5_000, 10_000)
    assert bytes_each("fsdp", accumulation=2) == (7_000, 20_000, 10_000)
    # ZeRO, section 3: 2 + 2 + 12 bytes a parameter, of which stage 2 leaves the weights whole and stage 3 nothing.
    assert bytes_each("zero2") == (14_000, 2_500, 15_000)
    assert bytes_each("zero3") == (3_500, 2_500, 15_000)
    assert bytes_each("zero3", precision="fp32") == (7_000, 5_000, 10_000)


def test_four_bits_are_half_a_byte_and_their_scales() -> None:
    quantised = Share(parameters=7_000, trained=1_000, buffers=0, block=200, blocks=6_000, quantised=6_000)
    said = states(quantised, "ddp", gpus=1, accumulation=1, precision="bf16")
    assert said.weights == 4 * 1_000 + 6_000 * NF4
    # QLoRA, section 3: with double quantisation 0.127 bits a parameter beside its four.
    bits = 8 * NF4
    assert bits == pytest.approx(4.127, abs=1e-3)


def test_what_passes_is_gathered_or_copied() -> None:
    # Two layers and what is no layer, in bf16.
    assert gathered(SEVEN, "fsdp", gpus=4, precision="bf16") == 2 * (400 + 1_000)
    assert (
        gathered(SEVEN, "ddp", gpus=4, precision="bf16") == gathered(SEVEN, "fsdp", gpus=1, precision="bf16") == 10_000
    )
    assert gathered(SEVEN, "ddp", gpus=4, precision="fp32") == gathered(SEVEN, "zero2", gpus=4, precision="bf16") == 0


def test_the_fullest_moment_is_of_the_forward_or_the_backward_pass() -> None:
    held = States(1.0, 2.0, 3.0)
    assert Memory(held, passing=10.0, inputs=5.0, heads=20.0, layer=7.0, reserve=0.0).total == 6 + 5 + 30
    assert Memory(held, passing=1.0, inputs=5.0, heads=2.0, layer=7.0, reserve=0.0).total == 6 + 5 + 7


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["asvr-vicuna-7b", "asvr-vicuna-7b-lora"])
def test_a_layer_keeps_what_a_real_one_keeps(name: str, precision: str, parts: Path) -> None:
    changes = {"stages.instruct.gradient_checkpointing": "false"}
    changes |= {"stages.instruct.adapter.rank": "4"} if name.endswith("lora") else {}
    step = make_step(name, "instruct", parts, **changes)
    model = step.real.vlm.model.language_model
    hidden = torch.randn(2, LENGTH, model.config.hidden_size, requires_grad=True)
    turns = model.rotary_emb(hidden.detach(), torch.arange(LENGTH)[None])

    def run() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return model.layers[0](hidden, position_embeddings=turns)

    said = layer_bytes(step.outline.vlm.model.language_model, precision, batch=2, length=LENGTH)  # type: ignore[arg-type]
    assert said == kept_bytes(run, model.layers[0].parameters())


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_head_keeps_what_a_real_one_keeps(precision: str, checkpointing: bool, parts: Path) -> None:
    changes = {"stages.instruct.gradient_checkpointing": str(checkpointing).lower()}
    step = make_step("asvr-vicuna-7b", "instruct", parts, **changes)
    head = step.real.supervision["semantic"].head
    hidden = torch.randn(VISUAL, 32, requires_grad=True)
    target = torch.zeros(VISUAL, 3, dtype=torch.long)
    assert isinstance(head, DepthTransformer)

    def kept(call: Callable[[], object], *without: torch.Tensor) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return kept_bytes(call, [*head.parameters(), *head.buffers(), *without])

    expected = kept(lambda: head(hidden, target))
    if checkpointing:
        # What goes in is held for the second time, when an eighth of the tokens and what remains are run at once.
        assert PARTS > VISUAL
        again = kept(lambda: head.states(hidden, target), hidden, target)
        expected += hidden.nbytes + target.nbytes + again
    outlined = dict(step.outline.terms())["semantic"]
    assert head_bytes(outlined, 32, VISUAL, precision) == expected  # type: ignore[arg-type]


def test_the_release_s_head_keeps_a_sixth_where_it_computes_states_again() -> None:
    with torch.device("meta"):
        term = Supervision(FixedCodes(), DepthTransformer(4096, torch.zeros(8, 16_384, 1152)))

    def kept() -> float:
        # Without what does not grow with the tokens: copies and gradients of weights.
        return head_bytes(term, 4096, 16 * 729, "bf16") - head_bytes(term, 4096, 0, "bf16")

    plain = kept()
    checkpoint_heads(term)
    # By hand: three layers keep some 17 vectors of 2048 bf16 numbers for each of 8 slots of 11,664 tokens.
    assert plain == pytest.approx(3 * 18 * 2 * 2048 * 8 * 16 * 729, rel=0.15)
    # An eighth of that, the gradients of the states, 8 x 2048 in bf16, and what goes in, 4096 in fp32 and 8 codes.
    assert kept() == pytest.approx(plain / 8 + 16 * 729 * (8 * 2048 * 2 + 4096 * 4 + 8 * 8), rel=0.1)


def test_a_head_keeps_what_it_does_for_the_tokens_that_are_drawn() -> None:
    recipe = RECIPES["tiny-asvr-quarter"]
    path = "stages.instruct.supervision.semantic.fraction"
    quarter, whole = (
        dict(stage_outline(each, each.stages[1]).terms())["semantic"]
        for each in (recipe, derive(recipe, {path: "1.0"}))
    )
    assert head_bytes(quarter, 128, 40, "fp32") == head_bytes(whole, 128, 10, "fp32")


def test_a_layer_of_vicuna_7b_keeps_in_proportion_to_its_tokens() -> None:
    recipe = RECIPES["llava-vicuna-7b"]
    model = stage_outline(recipe, recipe.stages[1]).vlm.model.language_model
    one, two, four = (layer_bytes(model, "bf16", batch=1, length=length) for length in (500, 1000, 2000))
    assert two - one == pytest.approx((four - two) / 2)
    # What does not grow are the bf16 copies of its seven matrices.
    assert 2 * one - two == pytest.approx(2 * (4 * 4096**2 + 3 * 4096 * 11_008), rel=1e-3)
