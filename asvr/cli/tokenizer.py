"""`asvr tokenizer ...`: visual tokenizers, made and inspected."""

import typer

from asvr.cli.tokenizer_card import card
from asvr.cli.tokenizer_fit import fit
from asvr.cli.tokenizer_import import import_checkpoint
from asvr.cli.tokenizer_train import recipes, train

app = typer.Typer(help="Visual tokenizers: make and inspect them.", no_args_is_help=True)
app.command()(fit)
app.command("import")(import_checkpoint)
app.command()(card)
app.command()(train)
app.command()(recipes)
