"""`asvr tokenizer ...`: visual tokenizers, made and inspected."""

import typer

from asvr.cli.tokenizer_fit import fit

app = typer.Typer(help="Visual tokenizers: make and inspect them.", no_args_is_help=True)
app.command()(fit)
