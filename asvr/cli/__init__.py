"""The command line: `asvr COMMAND --help` says what each command takes."""

import logging
import os
import sys

import typer
from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.markup import escape

from asvr.cli.benchmarks import benchmarks
from asvr.cli.compare import compare
from asvr.cli.data import app as data
from asvr.cli.demo import demo
from asvr.cli.evaluate import evaluate
from asvr.cli.explain import explain
from asvr.cli.recipes import recipes
from asvr.cli.reproduce import reproduce
from asvr.cli.study import study
from asvr.cli.targets import app as targets
from asvr.cli.tokenizer import app as tokenizer
from asvr.cli.train import train
from asvr.cli.world import app as world

app = typer.Typer(
    help="Autoregressive semantic visual reconstruction for stock vision-language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.command()(recipes)
app.command()(explain)
app.command()(train)
app.command()(study)
app.command()(reproduce)
app.command()(benchmarks)
app.command()(evaluate)
app.command()(compare)
app.add_typer(data, name="data")
app.add_typer(tokenizer, name="tokenizer")
app.add_typer(targets, name="targets")
app.add_typer(world, name="world")


def main() -> None:
    """Runs the command line; what a user can mend ends in one line, not in a traceback."""
    # Set before transformers is imported: its notices about image backends are not the user's business.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # A bar for each load of a few megabytes; our own bars are rich's.
    os.environ.setdefault("TQDM_DISABLE", "1")
    log = logging.getLogger("asvr")
    log.setLevel(logging.INFO)
    log.addHandler(RichHandler(show_time=False, show_level=False, show_path=False, highlighter=NullHighlighter()))
    try:
        app()
    except (ValueError, OSError) as error:
        if "ASVR_TRACEBACK" in os.environ:
            raise
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted: the same command continues from the last checkpoint")
        sys.exit(130)
