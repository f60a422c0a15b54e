"""Floating-point operations as PyTorch counts them while a real step runs, matrix product by matrix product."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from asvr.heads.depth_transformer import DepthTransformer
from asvr.losses import linear_cross_entropy
from asvr.planning.flops import Flops, head_flops, search_flops, target_flops, tower_flops
from asvr.planning.stage import stage_flops
from asvr.studies.costs import UNCOUNTED
from asvr.targets.residual_quantizer import ResidualQuantizer
from tests.planning.step import SUPERVISED, VISUAL, Step, make_step


def count(step: Step) -> float:
    # Attention as two products, which the counter sees, whatever fused kernels this machine has.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        step.real(**step.batch)["loss"].backward()
    return counter.get_total_flops()


def not_counted(step: Step) -> float:
    """What the formulas say too much of: code vectors are frozen, so that no gradient goes on from their projection."""
    heads = [term.head for _, term in step.real.terms()]
    known = [(head.code_projection.weight.numel(), len(head.classifiers) - 1) for head in heads]  # type: ignore[union-attr]
    return sum(2 * weight * slots * VISUAL for weight, slots in known)


@pytest.mark.parametrize("checkpointing", ["true", "false"])
@pytest.mark.parametrize("stage", ["pretrain", "instruct"])
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("llava-vicuna-7b", None),
        ("asvr-vicuna-7b", "own tower"),
        ("asvr-vicuna-7b", "second tower"),
        ("asvr-vicuna-7b", "cache"),
        ("asvr-vicuna-7b-lora", "own tower"),
    ],
)
def test_a_step_costs_what_the_formulas_say(
    name: str, way: str | None, stage: str, checkpointing: str, ways: dict[str, dict[str, str]], parts: Path
) -> None:
    changes = (ways[way] if way else {}) | {f"stages.{stage}.gradient_checkpointing": checkpointing}
    if name.endswith("lora"):
        changes |= {"stages.instruct.adapter.rank": "4", "stages.instruct.adapter.dropout": "0"}
    step = make_step(name, stage, parts, **changes)
    said = stage_flops(step.stage, step.outline, step.lengths)
    total = sum((part.total for part in said.values()), 0.0)
    assert total - not_counted(step) == count(step)


@pytest.mark.parametrize("fraction", ["0.25", "1.0"])
def test_a_part_of_the_visual_tokens_costs_so_much_of_the_head(fraction: str, parts: Path) -> None:
    path = "stages.instruct.supervision.semantic"
    step = make_step("tiny-asvr-linear", "instruct", parts, **{f"{path}.target.own_tower": "false"})
    some = make_step(
        "tiny-asvr-linear",
        "instruct",
        parts,
        **{f"{path}.target.own_tower": "false", f"{path}.fraction": fraction},
    )
    whole, said = (stage_flops(each.stage, each.outline, each.lengths) for each in (step, some))
    assert said["head semantic"] == whole["head semantic"] * float(fraction)
    assert {name: each for name, each in said.items() if name != "head semantic"} == {
        name: each for name, each in whole.items() if name != "head semantic"
    }
    assert sum(part.total for part in said.values()) == count(some)


def test_every_part_is_named_and_frozen_ones_have_no_backward_pass(parts: Path) -> None:
    step = make_step("asvr-vicuna-7b", "pretrain", parts)
    said = stage_flops(step.stage, step.outline, step.lengths)
    names = ["vision tower", "projector", "language model", "text classifier", "target semantic", "head semantic"]
    assert list(said) == names
    assert said["vision tower"].backward == said["target semantic"].backward == 0
    # Frozen blocks give the gradient of what goes in, but none of their weights: as much as their forward pass, and
    # once more the products of attention.
    assert said["language model"].forward < said["language model"].backward < 2 * said["language model"].forward


def test_own_and_cached_targets_run_no_second_tower(ways: dict[str, dict[str, str]], parts: Path) -> None:
    steps = {way: make_step("asvr-vicuna-7b", "pretrain", parts, **changes) for way, changes in ways.items()}
    made = {
        way: target_flops(step.stage.supervision["semantic"].target, step.outline.supervision["semantic"].target)  # type: ignore[union-attr]
        for way, step in steps.items()
    }
    one = steps["own tower"].outline
    target = one.supervision["semantic"].target  # type: ignore[union-attr]
    # A projection of 32 channels to 16, and the search among these.
    codes = (2 * 32 * 16 + search_flops(target.quantizer)) * VISUAL  # type: ignore[union-attr]
    assert made == {"own tower": codes, "second tower": tower_flops(one.vlm) + codes, "cache": 0}  # type: ignore[arg-type]


def test_the_search_for_codes_is_a_product_with_every_code_vector() -> None:
    quantizer = ResidualQuantizer(torch.randn(3, 16, 5))
    with FlopCounterMode(display=False) as counter:
        quantizer.encode(torch.randn(7, 5) * 100)
    assert counter.get_total_flops() == search_flops(quantizer) * 7


def test_logits_in_chunks_cost_no_more() -> None:
    hidden, weight = torch.randn(6, 8, requires_grad=True), torch.randn(10, 8, requires_grad=True)
    target = torch.zeros(6, dtype=torch.long)
    for max_logits in (1000, 20):
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
            linear_cross_entropy(hidden, weight, target, max_logits=max_logits).total.backward()
        # Forward, the gradient of what goes in, that of the weight.
        assert counter.get_total_flops() == 3 * 2 * 6 * 8 * 10


def test_the_release_s_head_costs_half_of_what_it_is_said_to_hold() -> None:
    with torch.device("meta"):
        head = DepthTransformer(4096, torch.zeros(8, 16_384, 1152))
    # Landscape.md: about 1.57 TFLOP forward for a picture of 729 tokens; with its projector 1.61.
    assert head_flops(head, 729.0).forward == pytest.approx(1.61e12, rel=5e-3)


def test_flops_add_up() -> None:
    one = Flops(1.0, 2.0, 3.0)
    assert one + Flops(1.0) == Flops(2.0, 2.0, 3.0) and (one * 2.0).total == 12


def test_only_supervised_tokens_reach_the_text_classifier(parts: Path) -> None:
    step = make_step("llava-vicuna-7b", "instruct", parts)
    classifier = step.real.vlm.get_output_embeddings()
    assert isinstance(classifier, nn.Linear) and isinstance(classifier.weight, Tensor)
    said = stage_flops(step.stage, step.outline, step.lengths)["text classifier"]
    assert said == Flops(2.0 * classifier.weight.numel() * SUPERVISED, 4.0 * classifier.weight.numel() * SUPERVISED)
