"""Runs that must coincide, however a batch is cut up, padded or ordered."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from asvr.objective import Objective, count_items
from asvr.training.freeze import set_trainable
from asvr.training.stage import Machine, build_objective, build_trainer
from tests.invariants.batches import assert_close, build, collate, losses_and_gradients
from tests.parts import shrink

EIGHT = ["q0", "text", "two", "u0", "q3", "u5", "q6", "q1"]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("alignment", ["next", "same"])
def test_accumulated_is_whole(size: int, alignment: str, parts: Path) -> None:
    objective, dataset = build(parts, alignment=alignment)
    objective.train()
    whole = collate(dataset, EIGHT)
    num_items = count_items(whole["labels"], whole["visual_mask"])
    expected, expected_gradients = losses_and_gradients(objective, whole)
    objective.zero_grad()
    total: dict[str, Tensor] = dict.fromkeys(expected, torch.tensor(0.0))
    for start in range(0, 8, size):
        losses = objective(**collate(dataset, EIGHT[start : start + size]), num_items=num_items)
        losses["loss"].backward()
        total = {name: total[name] + losses[name].detach() for name in losses}
    assert_close(total, expected)
    trained = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    assert_close(trained, expected_gradients)


def parameters_after_two_steps(parts: Path, folder: Path, micro_batch: int) -> tuple[dict[str, Tensor], list[dict]]:
    recipe = shrink("tiny-asvr", parts, **{"stages.instruct.optimisation.batch_size": "8"})
    stage = recipe.stage("instruct")
    objective, processor = build_objective(recipe, stage, None, seed=0)
    dataset = build(parts)[1]
    dataset.conversations = dataset.conversations[2:]  # q2 to u7: sixteen, so that two steps are whole
    set_trainable(objective, stage.trainable)
    machine = Machine(micro_batch=micro_batch, log_every=1, progress=False)
    trainer = build_trainer(recipe, stage, objective, dataset, processor, folder=folder, seed=0, machine=machine)
    trainer.train()
    assert trainer.state.global_step == 2
    return comparable(objective), trainer.state.log_history


def comparable(objective: Objective) -> dict[str, Tensor]:
    """Parameters without the biases of keys: these add the same to every score of a softmax, so their gradients are
    zero but for rounding, which Adam turns into steps."""
    parameters = {name: p.detach().clone() for name, p in objective.named_parameters()}
    for name in parameters:
        if name.startswith("supervision.") and name.endswith("qkv.bias"):
            query, _, value = parameters[name].chunk(3)
            parameters[name] = torch.cat([query, value])
    return parameters


def test_the_trainer_accumulates_to_the_whole(parts: Path, tmp_path: Path) -> None:
    expected, expected_log = parameters_after_two_steps(parts, tmp_path / "whole", 8)
    for micro_batch in (4, 2):
        ours, log = parameters_after_two_steps(parts, tmp_path / str(micro_batch), micro_batch)
        for name in expected:
            torch.testing.assert_close(ours[name], expected[name], rtol=0, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
        for line, other in zip(log[:2], expected_log[:2], strict=True):
            for key in ("loss", "loss_text", "loss_semantic", "grad_norm", "semantic_accuracy_depth_0"):
                assert line[key] == pytest.approx(other[key], rel=1e-5), key


@pytest.mark.parametrize("alignment", ["next", "same"])
def test_left_padding_is_right_padding(alignment: str, parts: Path) -> None:
    objective, dataset = build(parts, alignment=alignment)
    expected, gradients = losses_and_gradients(objective, collate(dataset, EIGHT))
    ours, own_gradients = losses_and_gradients(objective, collate(dataset, EIGHT, left=True))
    assert_close(ours, expected, atol=1e-5)
    assert_close(own_gradients, gradients, atol=1e-5)


def test_shuffled_samples_are_permuted_losses(parts: Path) -> None:
    objective, dataset = build(parts)
    per_token = []
    objective.supervision["semantic"].head.register_forward_hook(lambda _, __, out: per_token.append(out.per_token))
    order = ["q1", "two", "q0"]
    expected = objective(**collate(dataset, ["q0", "q1", "two"]))
    ours = objective(**collate(dataset, order))
    # q0, q1: one image of four visual tokens each; two: eight.
    q0, q1, two = per_token[0].split([4, 4, 8])
    torch.testing.assert_close(per_token[1], torch.cat([q1, two, q0]), rtol=1e-5, atol=1e-6)
    assert_close({name: value.detach() for name, value in ours.items()}, {n: v.detach() for n, v in expected.items()})


def test_images_of_one_sample_meet_their_own_targets(parts: Path) -> None:
    objective, dataset = build(parts, **{"stages.instruct.supervision.semantic.target.own_tower": "false"})
    batch = collate(dataset, ["two"])
    swapped = {**batch, "targets": {"semantic": batch["targets"]["semantic"].flip(0)}}
    assert objective(**swapped)["loss_semantic"] != objective(**batch)["loss_semantic"]
