from pathlib import Path

import pytest
import torch
from torch import nn

from asvr.world.fit import Descent, descend, record_order


def test_every_epoch_visits_every_record_once() -> None:
    order = record_order(10, Descent(steps=4, batch_size=5, learning_rate=1.0)).flatten().tolist()
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]


def test_a_short_run_begins_as_a_long_one() -> None:
    few = record_order(100, Descent(steps=2, batch_size=8, learning_rate=1.0))
    assert torch.equal(record_order(100, Descent(steps=50, batch_size=8, learning_rate=1.0))[:2], few)


def run(checkpoint: Path, descent: Descent, *, fail_at: int | None = None) -> tuple[list[float], nn.Module]:
    torch.manual_seed(0)
    model, calls = nn.Linear(4, 1), iter(range(10_000))
    data = torch.arange(40.0).view(10, 4) / 40

    def loss_of(indices: list[int]) -> torch.Tensor:
        if next(calls) == fail_at:
            raise KeyboardInterrupt
        return (model(data[indices]) + torch.rand(1)).square().mean()

    return descend(model, loss_of, num_records=10, descent=descent, checkpoint=checkpoint), model


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    descent = Descent(steps=130, batch_size=3, learning_rate=0.01, warm_up=5)
    losses, model = run(tmp_path / "whole.pt", descent)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part.pt", descent, fail_at=120)
    assert (tmp_path / "part.pt").is_file()
    resumed_losses, resumed = run(tmp_path / "part.pt", descent)
    assert resumed_losses == losses
    assert len(losses) == 130
    assert torch.equal(resumed.weight, model.weight)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part.pt", Descent(steps=130, batch_size=3, learning_rate=0.01), fail_at=120)
    with pytest.raises(ValueError, match=r"part.pt is of another run: learning_rate is 0.01, not 0.02"):
        run(tmp_path / "part.pt", Descent(steps=130, batch_size=3, learning_rate=0.02))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_impossible_descents_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Descent(**{"steps": 1, "batch_size": 1, "learning_rate": 1.0, **wrong})
