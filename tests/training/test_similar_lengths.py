import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from asvr.recipes.optimisation import Optimisation
from asvr.training.trainer import StageTrainer
from tests.training.runs import metrics, model_bytes, train

BLOCKS: dict[str, Any] = {
    "stages.instruct.optimisation.similar_lengths": "2",
    "stages.instruct.optimisation.epochs": "2",
}
# Two steps of the first stage, and two epochs of three steps of the second, of ten conversations.
NUM_STEPS = 8


class Stopped(Exception):
    pass


def run(parts: Path, out: Path, seen: list[list[int]]) -> Path:
    """Trains, and adds the lengths of the rows of each micro-batch to `seen`."""
    plain: Callable = StageTrainer.compute_loss

    def noted(self: StageTrainer, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        seen.append(inputs["attention_mask"].sum(1).tolist())
        return plain(self, model, inputs, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StageTrainer, "compute_loss", noted)
        return train("tiny-asvr", parts, out, **BLOCKS)


@pytest.fixture(scope="module")
def whole(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[int]]]:
    seen: list[list[int]] = []
    return run(parts, tmp_path_factory.mktemp("whole") / "run", seen), seen


def test_the_log_has_the_share_of_padding(whole: tuple[Path, list[list[int]]]) -> None:
    folder, seen = whole
    lines = [line for stage in ("pretrain", "instruct") for line in metrics(folder.parent / stage) if "loss" in line]
    assert len(lines) == len(seen) == NUM_STEPS
    for line, rows in zip(lines, seen, strict=True):
        assert line["padding"] == pytest.approx(1 - sum(rows) / (len(rows) * max(rows)))


def test_rows_of_a_step_come_longest_first(whole: tuple[Path, list[list[int]]]) -> None:
    _, seen = whole
    assert all(rows == sorted(rows, reverse=True) for rows in seen[2:])
    lengths = [sorted(chain.from_iterable(epoch)) for epoch in (seen[2:5], seen[5:])]
    assert lengths[0] == lengths[1] and len(lengths[0]) == 10


@pytest.mark.parametrize("step", [4, 6])
def test_resumed_is_uninterrupted_bit_for_bit(
    step: int, whole: tuple[Path, list[list[int]]], parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, all_seen = whole
    plain, count = StageTrainer.training_step, iter(range(NUM_STEPS))

    def training_step(self: StageTrainer, *args: Any, **options: Any) -> Any:
        if next(count) == step:
            raise Stopped
        return plain(self, *args, **options)

    seen: list[list[int]] = []
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(StageTrainer, "training_step", training_step)
        run(parts, tmp_path / "run", seen)
    folder = run(parts, tmp_path / "run", seen)
    assert seen == all_seen
    assert model_bytes(folder) == model_bytes(expected)
    assert metrics(folder)[:-1] == metrics(expected)[:-1]
    assert json.loads((folder / "stage.json").read_text())["resumed_from"] == f"checkpoint-{step - 2}"


@pytest.mark.parametrize("block", [0, 3, 8])
def test_blocks_that_do_not_fit_a_step_are_refused(block: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"similar_lengths is {block}: a step of 4 conversations")):
        Optimisation(batch_size=4, learning_rate=1.0, similar_lengths=block)
