import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asvr.training.stage import Machine
from asvr.training.trainer import StageTrainer, last_checkpoint
from tests.training.runs import QUIET, metrics, model_bytes, train

STAGES = ("pretrain", "instruct")
# Two steps of the first stage (8 captions), three of the second (10 conversations), four a step.
NUM_STEPS = 5


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def whole(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has interrupted."""
    return train("tiny-asvr", parts, tmp_path_factory.mktemp("whole") / "run").parent


@pytest.fixture
def stop_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes training stop before a step, counted over both stages."""
    plain = StageTrainer.training_step

    def stop(step: int) -> None:
        count = iter(range(NUM_STEPS))

        def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
            if next(count) == step:
                raise Stopped
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(StageTrainer, "training_step", training_step)

    return stop


@pytest.fixture
def resume(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Continues the run in `tmp_path`, and gives the number of micro-batches that it took."""
    plain, steps = StageTrainer.training_step, []

    def continued(machine: Machine = QUIET) -> int:
        def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
            steps.append(self.state.global_step)
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(StageTrainer, "training_step", training_step)
        train("tiny-asvr", parts, tmp_path / "run", machine=machine)
        return len(steps)

    return continued


def interrupted(how: str, step: int, parts: Path, out: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tests.training.interrupted", how, str(step), str(parts), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, timeout=120
    )


def assert_same(run: Path, whole: Path) -> None:
    for stage in STAGES:
        assert model_bytes(run / stage) == model_bytes(whole / stage), stage
        ours, theirs = ([line for line in metrics(each / stage) if "loss" in line] for each in (run, whole))
        assert ours == theirs, stage


@pytest.mark.parametrize("step", range(1, NUM_STEPS))
def test_resumed_is_uninterrupted_bit_for_bit(
    step: int, whole: Path, parts: Path, tmp_path: Path, stop_before: Callable, resume: Callable
) -> None:
    stop_before(step)
    with pytest.raises(Stopped):
        train("tiny-asvr", parts, tmp_path / "run")
    # A checkpoint after every step: no step is trained twice, and no finished stage.
    assert resume() == NUM_STEPS - step
    assert_same(tmp_path / "run", whole)


def test_a_killed_process_loses_nothing_that_was_saved(whole: Path, parts: Path, tmp_path: Path) -> None:
    assert interrupted("kill", 3, parts, tmp_path / "run").returncode == -9
    finished = (tmp_path / "run" / "pretrain" / "stage.json").stat().st_mtime_ns
    train("tiny-asvr", parts, tmp_path / "run")
    assert_same(tmp_path / "run", whole)
    assert (tmp_path / "run" / "pretrain" / "stage.json").stat().st_mtime_ns == finished
    facts = json.loads((tmp_path / "run" / "instruct" / "stage.json").read_text())
    assert facts["resumed_from"] == "checkpoint-1"
    assert metrics(tmp_path / "run" / "instruct")[0]["step"] == 1


@pytest.mark.parametrize("damage", ["missing", "half"])
def test_a_half_written_checkpoint_gives_way_to_the_one_before(
    damage: str, whole: Path, parts: Path, tmp_path: Path, stop_before: Callable, resume: Callable
) -> None:
    stop_before(4)
    with pytest.raises(Stopped):
        train("tiny-asvr", parts, tmp_path / "run")
    newest = tmp_path / "run" / "instruct" / "checkpoints" / "checkpoint-2"
    # The Trainer writes this file last: a process killed before or while it does leaves none, or half of it.
    state = (newest / "trainer_state.json").read_text()
    (newest / "trainer_state.json").unlink()
    if damage == "half":
        (newest / "trainer_state.json").write_text(state[: len(state) // 2])
    (newest / "trainable.safetensors").write_bytes((newest / "trainable.safetensors").read_bytes()[:100])
    assert last_checkpoint(newest.parent) == newest.parent / "checkpoint-1"
    assert resume() == 2
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("missing", ["stage.json", "model", "heads"])
def test_a_save_that_was_cut_short_is_done_again_without_training(
    missing: str, whole: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: Callable
) -> None:
    def killed(*_: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("asvr.training.stage._finish", killed)
        train("tiny-asvr", parts, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "pretrain" / missing, ignore_errors=True)
    (tmp_path / "run" / "pretrain" / "model.partial").mkdir()
    assert resume() == 3
    assert_same(tmp_path / "run", whole)


def test_a_finished_run_is_not_trained_again(whole: Path, parts: Path, tmp_path: Path, resume: Callable) -> None:
    shutil.copytree(whole, tmp_path / "run")
    assert resume() == 0
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "its seed differ:"),
        ({"alignment": "same"}, r"its recipe differ \(fields alignment\)"),
        (
            {"stages.instruct.optimisation.learning_rate": "5e-4"},
            r"its recipe differ \(fields stages.instruct.optimisation.learning_rate\)",
        ),
    ],
)
def test_another_run_s_folder_is_refused(changes: dict[str, Any], said: str, whole: Path, parts: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with pytest.raises(ValueError, match=rf"{said}.*choose another --out"):
        train("tiny-asvr", parts, whole, **changes)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_other_data_is_refused(whole: Path, parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts / "records", tmp_path / "records")
    captions = tmp_path / "records" / "captions.json"
    captions.write_text(json.dumps(json.loads(captions.read_text())[:4]))
    with pytest.raises(ValueError, match="its data differ"):
        train("tiny-asvr", parts, whole, records=tmp_path / "records")


def test_the_same_data_elsewhere_continues_a_run(whole: Path, parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts / "records", tmp_path / "records")
    assert train("tiny-asvr", parts, whole, records=tmp_path / "records") == whole / "instruct"


def test_a_run_continues_with_another_micro_batch(
    whole: Path, parts: Path, tmp_path: Path, stop_before: Callable, resume: Callable
) -> None:
    stop_before(3)
    with pytest.raises(Stopped):
        train("tiny-asvr", parts, tmp_path / "run")
    # Steps 2 and 3 in micro-batches of two: four conversations, then two.
    assert resume(replace(QUIET, micro_batch=2)) == 3
    ours, theirs = ([line["loss"] for line in metrics(run / "instruct")[:3]] for run in (tmp_path / "run", whole))
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_full_disk_is_named_and_the_earlier_checkpoint_kept(whole: Path, parts: Path, tmp_path: Path) -> None:
    # From the second stage's second step on no file may grow past 20 kB; the weights take more.
    failed = interrupted("disk", 3, parts, tmp_path / "run")
    checkpoints = tmp_path / "run" / "instruct" / "checkpoints"
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith(f"OSError: {checkpoints / 'checkpoint-2'} cannot be written")
    assert "File too large" in last and "make room" in last
    assert [path.name for path in checkpoints.iterdir()] == ["checkpoint-1"]
    train("tiny-asvr", parts, tmp_path / "run")
    assert_same(tmp_path / "run", whole)
