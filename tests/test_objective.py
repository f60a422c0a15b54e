from pathlib import Path

import pytest
import torch

from asvr.interfaces import TargetEncoder
from asvr.objective import Objective, align
from tests.invariants.batches import build, collate, losses_and_gradients

KINDS = {"text": ["text"], "image": ["q0", "q1"], "several images": ["two"], "mixed": ["q0", "text", "two"]}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("training", [True, False])
def test_without_supervision_the_objective_is_the_stock_model(kind: str, training: bool, parts: Path) -> None:
    objective, dataset = build(parts, "tiny-llava")
    objective.train(training)
    batch = collate(dataset, KINDS[kind])
    losses, ours = losses_and_gradients(objective, batch)
    objective.zero_grad()
    inputs = {name: batch[name] for name in batch if name not in ("visual_mask", "targets")}
    stock = objective.vlm(**inputs).loss
    stock.backward()
    torch.testing.assert_close(losses["loss"], stock.detach(), rtol=1e-6, atol=0)
    assert losses["loss_text"] == losses["loss"]
    for name, parameter in objective.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name].norm(), parameter.grad.norm(), rtol=1e-5, atol=1e-7)


def test_the_total_is_the_weighted_sum_of_its_terms(parts: Path) -> None:
    objective, dataset = build(parts, **{"stages.instruct.supervision.semantic.weight": "0.5"})
    losses = objective(**collate(dataset, ["q0", "two", "text"]))
    torch.testing.assert_close(losses["loss"], losses["loss_text"] + 0.5 * losses["loss_semantic"])
    depths = torch.stack([losses[f"semantic_loss_depth_{depth}"] for depth in range(3)])
    torch.testing.assert_close(losses["loss_semantic"], depths.mean())


def test_a_text_only_batch_reaches_every_head_and_the_projector_with_zero(parts: Path) -> None:
    objective, dataset = build(parts)
    losses, found = losses_and_gradients(objective.train(), collate(dataset, ["text"]))
    assert losses["loss_semantic"] == 0
    for name, parameter in objective.named_parameters():
        if name.startswith(("supervision.semantic.head.", "vlm.model.multi_modal_projector.")):
            assert not found[name].any(), name
            assert found[name].shape == parameter.shape


def test_an_image_without_text_has_a_visual_loss_alone(parts: Path) -> None:
    objective, dataset = build(parts)
    losses, found = losses_and_gradients(objective, collate(dataset, ["u0", "u3"]))
    assert losses["loss_text"] == 0
    # An untrained head over 8 codes is near the uniform one, ln 8 = 2.08 nats per code.
    assert 1.5 < losses["loss_semantic"] < 3
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    assert not found["vlm.lm_head.weight"].any()


def test_text_rows_do_not_move_the_visual_loss_nor_pictures_the_text_loss(parts: Path) -> None:
    objective, dataset = build(parts)
    alone = objective(**collate(dataset, ["q0", "two"]))
    beside_text = objective(**collate(dataset, ["q0", "text", "two"]))
    beside_pictures = objective(**collate(dataset, ["u5", "q0", "two", "u1"]))
    torch.testing.assert_close(beside_text["loss_semantic"], alone["loss_semantic"], rtol=1e-5, atol=0)
    torch.testing.assert_close(beside_pictures["loss_text"], alone["loss_text"], rtol=1e-5, atol=0)
    assert beside_text["loss_text"] != alone["loss_text"]
    assert beside_pictures["loss_semantic"] != alone["loss_semantic"]


def test_next_reads_the_state_before_and_same_the_state_itself() -> None:
    mask = torch.tensor([[False, True, True, False, True]])
    assert align(mask, "same").tolist() == mask.tolist()
    assert align(mask, "next").tolist() == [[True, True, False, True, False]]


@pytest.mark.parametrize("padding", [0, 2])
def test_next_refuses_an_image_that_nothing_precedes(padding: int) -> None:
    mask = torch.tensor([[False] * padding + [True, True]])
    attention = torch.tensor([[0] * padding + [1, 1]])
    with pytest.raises(ValueError, match=r'first token .* bos_token, or use alignment="same"'):
        align(mask, "next", attention)
    assert align(mask, "same", attention) is mask


def test_without_supervision_an_image_may_come_first(parts: Path) -> None:
    objective, dataset = build(parts, "tiny-llava")
    batch = collate(dataset, ["u0"])
    batch |= {name: batch[name][:, 1:] for name in ("input_ids", "attention_mask", "labels", "visual_mask")}
    assert objective(**batch)["loss"] == 0


def test_target_encoders_stay_frozen_and_in_evaluation_mode(parts: Path) -> None:
    objective, _ = build(parts)
    objective.train()
    targets = [module for module in objective.modules() if isinstance(module, TargetEncoder)]
    assert len(targets) == 1
    assert not any(module.training for module in targets[0].modules())
    assert not any(parameter.requires_grad for parameter in targets[0].parameters())
    assert objective.vlm.training and objective.supervision["semantic"].head.training


def test_targets_of_another_number_are_refused(parts: Path) -> None:
    objective, dataset = build(parts, **{"stages.instruct.supervision.semantic.target.own_tower": "false"})
    batch = collate(dataset, ["two"])
    batch["targets"] = {"semantic": batch["targets"]["semantic"][:1]}
    # Two images of 2 x 2 visual tokens, targets for one of them.
    with pytest.raises(ValueError, match=r"8 visual tokens in the batch, but targets for 4: .* grid \(2, 2\)"):
        objective(**batch)


def test_a_head_with_its_own_state_is_not_needed_to_load_the_model(parts: Path, tmp_path: Path) -> None:
    objective, _ = build(parts)
    objective.vlm.save_pretrained(tmp_path)
    loaded = type(objective.vlm).from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == objective.vlm.state_dict().keys()
    assert isinstance(objective, Objective)
