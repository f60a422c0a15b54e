import pytest
import torch

from asvr.objective import Objective
from tests.golden.reference import needs_reference, objective, pixels, read, step_batch

pytestmark = needs_reference


def run(name: str, images: slice | None, alignment: str = "same") -> tuple[Objective, dict]:
    ours = objective(alignment)
    batch = step_batch(name, images=1 if images is None else images.stop)
    prepared = None if images is None else pixels(images)
    inputs = {} if prepared is None else {"pixel_values": prepared}
    losses = ours(**batch, **inputs, targets={} if prepared is None else {"semantic": prepared})
    losses["loss"].backward()
    return ours, losses


def norm(module: torch.nn.Module) -> float:
    return torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm().item()


def test_a_single_image_gives_the_release_s_losses_and_gradients() -> None:
    _, facts = read("step_1_single")
    ours, losses = run("step_1_single", slice(0, 1))
    assert losses["loss_text"].item() == pytest.approx(5.043491840362549, rel=2e-5)
    assert losses["loss_semantic"].item() == pytest.approx(4.620972633361816, rel=2e-5)
    assert losses["loss"].item() == pytest.approx(9.664464950561523, rel=2e-5)
    for depth, expected in enumerate(facts["losses"]["ce_per_depth"]):
        assert losses[f"semantic_loss_depth_{depth}"].item() == pytest.approx(expected, rel=2e-5)
    norms = facts["grad_norms"]["of_loss"]
    head = ours.supervision["semantic"].head
    assert norm(ours.vlm.model.multi_modal_projector) == pytest.approx(norms["mm_projector"], rel=1e-3)
    assert norm(head.projector) == pytest.approx(norms["visual_projector"], rel=1e-3)
    projector = norm(head.projector)
    assert (norm(head) ** 2 - projector**2) ** 0.5 == pytest.approx(norms["visual_head"], rel=1e-3)
    language_model = torch.nn.ModuleList([ours.vlm.model.language_model, ours.vlm.lm_head])
    assert norm(language_model) == pytest.approx(norms["llm"], rel=1e-3)


def test_next_alignment_is_the_release_s_loss_shifted_by_one() -> None:
    _, facts = read("step_1_single")
    _, losses = run("step_1_single", slice(0, 1), alignment="next")
    assert losses["loss_semantic"].item() == pytest.approx(facts["loss_vision_by_shift"]["-1"], rel=2e-5)


def test_a_text_only_row_adds_nothing_to_the_visual_loss() -> None:
    _, facts = read("step_3_mixed_textonly")
    ours, losses = run("step_3_mixed_textonly", slice(0, 1))
    assert losses["loss_text"].item() == pytest.approx(facts["losses"]["loss_text"], rel=2e-5)
    # The release counts 729 zero rows; the real rows alone are those of step_1 (the README's 4.620973).
    assert losses["loss_semantic"].item() == pytest.approx(4.620973, rel=2e-5)
    alone, _ = run("step_1_single", slice(0, 1))
    theirs, own = alone.supervision["semantic"].head, ours.supervision["semantic"].head
    for (name, expected), parameter in zip(theirs.named_parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_a_batch_of_text_only_rows_has_no_visual_loss_and_no_nan() -> None:
    _, facts = read("step_4_all_textonly")
    ours, losses = run("step_4_all_textonly", None)
    assert losses["loss_text"].item() == pytest.approx(facts["losses"]["loss_text"], rel=2e-5)
    assert losses["loss_semantic"].item() == 0.0
    assert losses["loss"].item() == pytest.approx(facts["losses"]["loss_text"], rel=2e-5)
    for name, parameter in ours.supervision["semantic"].head.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name
    assert not ours.vlm.model.multi_modal_projector.linear_1.weight.grad.any()


@pytest.mark.parametrize(("alignment", "shift"), [("same", "0"), ("next", "-1")])
def test_two_crops_of_one_picture_are_1458_tokens_in_a_row(alignment: str, shift: str) -> None:
    _, facts = read("step_5_multicrop_flat")
    ours, losses = run("step_5_multicrop_flat", slice(0, 2), alignment=alignment)
    assert losses["loss_text"].item() == pytest.approx(facts["losses"]["loss_text"], rel=2e-5)
    assert losses["loss_semantic"].item() == pytest.approx(facts["loss_vision_by_shift"][shift], rel=2e-5)
    if alignment == "same":
        expected = facts["grad_norms"]["of_loss"]["mm_projector"]
        assert norm(ours.vlm.model.multi_modal_projector) == pytest.approx(expected, rel=1e-3)
