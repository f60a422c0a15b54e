"""A random part of the visual tokens stands for all of them: without bias, repeatably, and at its share of the cost."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.linear import LinearHead
from asvr.objective import Supervision
from asvr.recipes.supervision import CosineSpec, DenoisingSpec, FeaturesSpec, SupervisionSpec
from asvr.subset import num_chosen, score_some
from tests.invariants.batches import build, collate, losses_and_gradients

FRACTION = "stages.instruct.supervision.semantic.fraction"
TOKENS, DRAWS = 14, 400
STANDARD_ERRORS = 5.0
"""How far a mean may lie from what it estimates: a normal one of some 2,000 goes as far in one of a thousand tests."""


def head(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    if kind is LinearHead:
        return LinearHead(6, 3, num_codes=5, width=8)
    return DepthTransformer(6, torch.randn(3, 5, 4), width=8, num_layers=1, head_width=4)


def figures(scored: tuple, inputs: list[Tensor]) -> Tensor:
    """All that a step takes from a loss: it, its gradients, and what is logged of each token."""
    total, per_token, metrics = scored
    gradients = torch.autograd.grad(total, inputs)
    parts = [total.detach()[None], per_token, *metrics.values(), *(each.flatten() for each in gradients)]
    return torch.cat(parts).double()


@pytest.mark.parametrize("kind", [LinearHead, DepthTransformer])
def test_the_mean_over_draws_is_the_whole_loss_and_the_whole_gradient(kind: type[nn.Module]) -> None:
    ours = head(kind)
    hidden, codes = torch.randn(TOKENS, 6, requires_grad=True), torch.randint(5, (TOKENS, 3))
    inputs = [hidden, *ours.parameters()]
    whole = figures(ours(hidden, codes), inputs)
    drawn = torch.stack([figures(score_some(ours, hidden, codes, fraction=0.25), inputs) for _ in range(DRAWS)])  # type: ignore[arg-type]
    error = drawn.std(0) / math.sqrt(DRAWS)
    # What never varies, such as the gradient of a code that no token has, is equal but for rounding.
    assert ((drawn.mean(0) - whole).abs() <= STANDARD_ERRORS * error + 1e-5).all()
    # So a sum that is a twentieth too large would be noticed, and the draws do differ.
    assert 0 < STANDARD_ERRORS * error[0] < 0.05 * whole[0]


def test_so_many_tokens_are_drawn_and_each_at_most_once() -> None:
    ours, seen = head(LinearHead), []
    ours.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    # Each token is told by its state.
    hidden = torch.arange(10.0)[:, None].expand(10, 6)
    scored = score_some(ours, hidden, torch.zeros(10, 3, dtype=torch.long), fraction=0.3)  # type: ignore[arg-type]
    drawn = seen[0][:, 0].long()
    assert len(drawn) == len(drawn.unique()) == 3
    assert scored.per_token.nonzero()[:, 0].tolist() == sorted(drawn.tolist())
    torch.testing.assert_close(scored.per_token.sum(), scored.total)


@pytest.mark.parametrize(
    ("tokens", "fraction", "chosen"), [(0, 0.25, 0), (1, 0.25, 1), (2, 0.25, 1), (729, 0.25, 182), (7, 0.999, 7)]
)
def test_the_number_is_rounded_and_never_none_of_some(tokens: int, fraction: float, chosen: int) -> None:
    assert num_chosen(tokens, fraction) == chosen


def test_a_fraction_of_one_is_the_whole_bit_for_bit_and_draws_nothing(parts: Path) -> None:
    objective, dataset = build(parts)
    batch = collate(dataset, ["q0", "two", "text"])
    term = objective.supervision["semantic"]
    assert isinstance(term, Supervision) and term.fraction == 1
    state = torch.get_rng_state()
    losses, ours = losses_and_gradients(objective.train(), batch)
    assert torch.equal(torch.get_rng_state(), state)
    # The head itself, asked beside the objective, as it was before there were fractions.
    objective.zero_grad()
    hidden = objective.vlm.base_model(
        **{name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}, use_cache=False
    ).last_hidden_state
    predictors = batch["visual_mask"].roll(-1, 1)
    scored = term.head(hidden[predictors], term.target.encode(batch["targets"]["semantic"]).flatten(0, 1))
    (scored.total * (1 / batch["visual_mask"].sum())).backward()
    assert losses["loss_semantic"] == scored.total * (1 / batch["visual_mask"].sum())
    for name, parameter in term.head.named_parameters():  # type: ignore[attr-defined]
        assert torch.equal(ours[f"supervision.semantic.head.{name}"], parameter.grad), name


def test_terms_rows_and_logged_figures_agree(parts: Path) -> None:
    objective, dataset = build(parts, **{FRACTION: "0.5"})
    batch = collate(dataset, ["q0", "text", "two"])
    losses = objective.train()(**batch, by_row=True)
    rows = losses["rows"]["loss_semantic"]
    assert rows[1] == 0
    torch.testing.assert_close(rows.sum() / batch["visual_mask"].sum(), losses["loss_semantic"])
    depths = torch.stack([losses[f"semantic_loss_depth_{depth}"] for depth in range(3)])
    torch.testing.assert_close(losses["loss_semantic"], depths.mean())


def test_in_evaluation_every_token_is_scored(parts: Path) -> None:
    (objective, dataset), (whole, _) = build(parts, **{FRACTION: "0.25"}), build(parts)
    batch = collate(dataset, ["q0", "two"])
    assert objective.eval()(**batch)["loss_semantic"] == whole.eval()(**batch)["loss_semantic"]
    assert objective.train()(**batch)["loss_semantic"] != whole.train()(**batch)["loss_semantic"]


@pytest.mark.parametrize("name", ["tiny-asvr-quarter", "tiny-asvr-linear"])
def test_no_tokens_reach_every_parameter(name: str, parts: Path) -> None:
    objective, dataset = build(parts, name)
    losses, found = losses_and_gradients(objective.train(), collate(dataset, ["text"]))
    assert losses["loss_semantic"] == 0
    heads = [name for name, _ in objective.named_parameters() if name.startswith("supervision.semantic.head.")]
    assert heads and all(name in found and not found[name].any() for name in heads)


@pytest.mark.parametrize("fraction", ["0", "-0.5", "1.01", "nan"])
def test_what_is_no_share_is_refused(fraction: str, parts: Path) -> None:
    with pytest.raises(ValueError, match=rf"supervision.fraction is {fraction}.*: it must be above 0 and at most 1"):
        build(parts, **{FRACTION: fraction})


def test_a_head_that_takes_whole_pictures_refuses_a_part_of_them() -> None:
    target = FeaturesSpec(folder="features")
    with pytest.raises(ValueError, match=r"fraction is 0.5, but DenoisingSpec takes whole pictures: set fraction=1"):
        SupervisionSpec(target=target, head=DenoisingSpec(), fraction=0.5)
    assert SupervisionSpec(target=target, head=CosineSpec(), fraction=0.5).fraction == 0.5
