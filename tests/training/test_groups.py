from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from asvr.recipes.baseline import HEADS, PROJECTOR
from asvr.recipes.optimisation import Optimisation, ParameterGroup
from asvr.recipes.spec import Recipe
from asvr.training.groups import check_groups, optimizer_groups
from asvr.training.run import run_recipe
from tests.parts import shrink
from tests.training.runs import QUIET, metrics, model_bytes, sources


def grouped(recipe: Recipe, **rates: float) -> Recipe:
    """The second stage alone, its projector and heads with rates of their own."""
    prefixes = {"projector": PROJECTOR, "heads": HEADS}
    groups = tuple(ParameterGroup(name=name, prefix=prefixes[name], learning_rate=rate) for name, rate in rates.items())
    instruct = recipe.stage("instruct")
    instruct = replace(instruct, optimisation=replace(instruct.optimisation, groups=groups, weight_decay=0.1))
    return replace(recipe, stages=(instruct,))


@pytest.fixture
def run(parts: Path, tmp_path: Path) -> Callable[..., Path]:
    def trained(name: str, **rates: float) -> Path:
        recipe = grouped(shrink("tiny-asvr", parts), **rates)
        return run_recipe(recipe, tmp_path / name, data=sources(parts / "records"), machine=QUIET)

    return trained


def test_groups_at_the_stage_s_own_rate_change_nothing_bit_for_bit(run: Callable[..., Path]) -> None:
    # 1e-3 is tiny-asvr's rate in its second stage.
    without, equal = run("without"), run("equal", projector=1e-3, heads=1e-3)
    assert model_bytes(without) == model_bytes(equal)
    rates = [line["learning_rate"] for line in metrics(equal) if "loss" in line]
    assert max(rates) > 0
    for name in ("projector", "heads"):
        assert [line[f"learning_rate[{name}]"] for line in metrics(equal) if "loss" in line] == pytest.approx(rates)
    assert not any("[" in key for line in metrics(without) for key in line)


def test_every_group_follows_the_schedule_from_its_own_peak(run: Callable[..., Path]) -> None:
    lines = [line for line in metrics(run("slow", projector=1e-4, heads=1e-6)) if "loss" in line]
    assert any(line["learning_rate"] > 0 for line in lines)
    for line in lines:
        assert line["learning_rate[projector]"] == pytest.approx(line["learning_rate"] / 10)
        assert line["learning_rate[heads]"] == pytest.approx(line["learning_rate"] / 1000)


def test_the_first_prefix_that_fits_wins_and_biases_do_not_decay() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2), "frozen": nn.Linear(2, 2).requires_grad_(False)})
    groups = [
        ParameterGroup(name="weight", prefix="a.weight", learning_rate=3.0),
        ParameterGroup(name="a", prefix="a.", learning_rate=2.0),
    ]
    split = optimizer_groups(
        model.named_parameters(), groups, decayed=["a.weight", "b.weight", "frozen.weight"], weight_decay=0.5
    )
    optimizer = torch.optim.AdamW(split, lr=1.0)
    ours = {
        id(each): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for each in group["params"]
    }
    expected = {"a.weight": (3.0, 0.5), "a.bias": (2.0, 0.0), "b.weight": (1.0, 0.5), "b.bias": (1.0, 0.0)}
    assert ours == {id(model.get_parameter(name)): values for name, values in expected.items()}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([("heads", "head.")], "groups.heads: no trained parameter begins with 'head.'"),
        ([("all", ""), ("bias", "bias")], "groups.bias: .* an earlier group has them all"),
        ([("weight", "weight")], "groups.weight: no trained parameter"),
    ],
)
def test_a_group_without_parameters_is_refused(groups: list[tuple[str, str]], message: str) -> None:
    linear = nn.Linear(2, 2)
    linear.weight.requires_grad_(False)
    values = tuple(ParameterGroup(name=name, prefix=prefix, learning_rate=1.0) for name, prefix in groups)
    with pytest.raises(ValueError, match=message):
        check_groups(linear, Optimisation(batch_size=1, learning_rate=1.0, groups=values))


def test_it_is_refused_before_anything_trains(parts: Path, tmp_path: Path) -> None:
    recipe = grouped(shrink("tiny-llava", parts), heads=1e-3)
    with pytest.raises(ValueError, match=r"groups\.heads: no trained parameter begins with 'supervision\.'"):
        run_recipe(recipe, tmp_path / "run", data=sources(parts / "records"), machine=QUIET)
    assert not (tmp_path / "run").exists()


def test_two_groups_of_one_name_are_refused() -> None:
    group = ParameterGroup(name="heads", prefix="supervision.", learning_rate=1.0)
    with pytest.raises(ValueError, match="two of one name among heads, heads"):
        Optimisation(batch_size=1, learning_rate=1.0, groups=(group, replace(group, learning_rate=2.0)))
