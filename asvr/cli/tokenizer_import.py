"""`asvr tokenizer import`: visual tokenizers of a released checkpoint."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape


class Branch(str, Enum):
    """The two tokenizers that a checkpoint holds."""

    semantic = "semantic"
    appearance = "appearance"


def import_checkpoint(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint of ASVR's release, of DualToken, or a whole ASVR model: file or folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new tokenizers, `semantic` and `appearance`.")],
    only: Annotated[Branch | None, typer.Option(help="Make only this one; the other may then be absent.")] = None,
    tower: Annotated[
        str | None, typer.Option(help="SigLIP of the vision tower, hub name or folder; only its configuration is read.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The tokenizer's config.json; the one beside the checkpoint by default.")
    ] = None,
) -> None:
    """Import the tokenizers of a released checkpoint, strictly: every tensor is used or known to be of no use."""
    from asvr.tokenizers.importing import import_tokenizers

    console = Console()
    with console.status("") as status:

        def say(step: str) -> None:
            status.update(escape(step))

        chosen = only.value if only else None
        tokenizers = import_tokenizers(checkpoint, only=chosen, tower=tower, config=config, on_step=say)
        for name, tokenizer in tokenizers.items():
            say(f"writing {out / name}")
            tokenizer.save_pretrained(out / name)
    for name, tokenizer in tokenizers.items():
        quantizer = tokenizer.quantizer
        console.print(
            f"{name}: {quantizer.depth} x {quantizer.num_codes} codes, {quantizer.dim} wide, grid {tokenizer.grid}, "
            f"from the {tokenizer.about['layout']} layout, in {out / name}",
            highlight=False,
            soft_wrap=True,
        )
