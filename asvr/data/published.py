"""What is known of a public data set: where it is, how large, how to get it, and where its local copy lies."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A public data set of conversations.

    Its local copy is a folder of its own name; paths are relative to that folder, commands to the folder above it.

    Args:
        title: What papers call it.
        hub: Name of the data set on the Hugging Face hub; empty for one that the package makes itself.
        file: Its records, in LLaVA's format.
        images: The folder that its records' pictures are relative to; empty where it has none.
        num_records: How many records there are.
        about: Whether that number is rounded by its source.
        gigabytes: Size of records and pictures as downloaded, in units of 1e9 bytes; None where no source says it.
        licence: As its card states it.
        get: The commands that make the local copy, in order; a line that begins with `#` is for people.
        note: What sets the copy apart from what a paper trained on, or from what its name promises.
        source: Where the figures come from.
    """

    title: str
    hub: str
    file: str
    images: str
    num_records: int
    about: bool = False
    gigabytes: float | None
    licence: str
    get: tuple[str, ...]
    note: str = ""
    source: str


CARD = "https://huggingface.co/datasets/"
"""What a data set's address begins with."""

DOWNLOAD = "hf download --repo-type dataset"
"""The hub's own command line, which comes with `huggingface_hub`; it continues what was cut short."""
