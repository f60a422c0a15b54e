"""`asvr demo`: the whole line on one machine, without a download."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo; what is already there is reused.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per arm.")] = 3,
    jobs: Annotated[int | None, typer.Option(min=1, help=r"Runs at a time \[default: one per processor].")] = None,
) -> None:
    """Train a text-only model and ASVR ones on the embedded world, compare them, and write a report."""
    from asvr.studies.demo import run_demo
    from asvr.studies.run import default_jobs

    report = run_demo(out, seeds=seeds, jobs=jobs or default_jobs())
    Console().print(f"report: {report}", soft_wrap=True)
