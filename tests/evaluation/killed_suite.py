"""One of the processes that answer two benchmarks; the second one dies at its second batch of the second benchmark."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from asvr.evaluation import answering, suite
from asvr.evaluation.suite import Settings

BENCHMARKS = ("mmvp", "pope")


def answer_and_die(task: Any, batches: Any, *arguments: Any, process: int, **options: Any) -> None:
    state.wait_for_everyone()
    if process == 1 and task.header.benchmark == BENCHMARKS[1]:
        answering.answer_batches(task, batches[:1], *arguments, process=process, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    answering.answer_batches(task, batches, *arguments, process=process, **options)


if __name__ == "__main__":
    model, data, out = map(Path, sys.argv[1:])
    state = PartialState(cpu=True)
    suite.answer_batches = answer_and_die  # type: ignore[attr-defined]
    suite.answer_benchmarks(Settings(str(model), BENCHMARKS, "paper", data_root=data, out=out, batch_size=2), state)
