"""Draws of visual tokens in a run that is stopped and goes on."""

from pathlib import Path
from typing import Any

import pytest

from asvr.training.trainer import StageTrainer
from tests.training.runs import metrics, model_bytes, train


class Stopped(Exception):
    pass


def test_a_resumed_run_draws_what_the_uninterrupted_one_draws(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("tiny-asvr-quarter", parts, tmp_path / "whole").parent
    plain, count = StageTrainer.training_step, iter(range(5))

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        # Two steps of the first stage, one of the second: it goes on in the middle of the second.
        if next(count) == 3:
            raise Stopped
        return plain(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(StageTrainer, "training_step", training_step)
        train("tiny-asvr-quarter", parts, tmp_path / "run")
    resumed = train("tiny-asvr-quarter", parts, tmp_path / "run").parent
    for stage in ("pretrain", "instruct"):
        assert model_bytes(resumed / stage) == model_bytes(whole / stage)
        ours, theirs = ([line for line in metrics(each / stage) if "loss" in line] for each in (resumed, whole))
        assert ours == theirs
