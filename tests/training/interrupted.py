"""Trains in a process that comes to grief: `kill` ends it at a step, `disk` lets no file grow from that step on."""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from asvr.training.trainer import StageTrainer
from tests.training.runs import train


def fail_at(how: str, step: int) -> None:
    plain, count = StageTrainer.training_step, iter(range(10**6))

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        if next(count) < step:
            return plain(self, *args, **kwargs)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        return plain(self, *args, **kwargs)

    StageTrainer.training_step = training_step  # type: ignore[method-assign]


if __name__ == "__main__":
    how, step, parts, out = sys.argv[1:]
    fail_at(how, int(step))
    train("tiny-asvr", Path(parts), Path(out))
