"""What a stage leaves behind while it runs: a line per logged step, and a progress bar."""

import json
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from asvr.disk import write_whole, writing


class MetricsFile(TrainerCallback):
    """Appends every logged step to a JSONL file; a resumed run drops the lines it is about to write again.

    Each line has the `seconds` that the stage has trained for, over interruptions.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keeps the lines up to the step that training continues from."""
        if not state.is_world_process_zero:
            return
        lines = read_metrics(self.path) if self.path.is_file() else []
        kept = [line for line in lines if line["step"] <= state.global_step and "train_runtime" not in line]
        self.started = time.perf_counter() - (kept[-1]["seconds"] if kept else 0.0)
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Writes one line."""
        if state.is_world_process_zero:
            line = {"step": state.global_step, "seconds": time.perf_counter() - self.started, **logs}
            with writing(self.path), self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the lines that were written whole; a killed run may have left half a line."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


class LogBeforeSaving(TrainerCallback):
    """Logs whenever a checkpoint is written, so that no term is averaged across an interruption."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Asks for the log; the Trainer writes it before the checkpoint."""
        control.should_log = control.should_log or control.should_save


class ProgressBar(TrainerCallback):
    """Shows steps, time left and the latest losses.

    Args:
        title: What is being trained.
    """

    def __init__(self, title: str) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        # Names of sources stand in brackets, which are not markup here.
        self.progress = Progress(*columns, TextColumn("{task.fields[losses]}", markup=False))
        self.title = title

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Starts the bar on the first rank."""
        if state.is_world_process_zero:
            self.progress.start()
        self.task = self.progress.add_task(self.title, total=state.max_steps, losses="")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Moves the bar."""
        self.progress.update(self.task, completed=state.global_step)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Shows the terms of the loss, and below them those of each source."""
        self.progress.update(self.task, losses="\n".join(in_lines(logs)))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leaves the finished bar on the screen."""
        self.progress.stop()


def in_lines(logs: dict[str, float]) -> list[str]:
    """Writes the losses of a log as a line, and those of each source as a line below."""
    lines: dict[str, list[str]] = {}
    for name, value in logs.items():
        if name.startswith("loss"):
            loss, _, source = name.removesuffix("]").partition("[")
            line = lines.setdefault(source, [f"{source}:"] if source else [])
            line.append(f"{loss.removeprefix('loss_')} {value:.3f}")
    return ["  ".join(parts) for parts in lines.values()]
