"""Conversations and their image files as a dataset of samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import track
from torch.utils.data import Dataset

from asvr.data.conversation import Conversation, read_conversations
from asvr.data.images import ImagePreparation, PreparedImage
from asvr.data.template import Encoded


@dataclass(frozen=True)
class Source:
    """Where conversations come from.

    Args:
        data: A file of LLaVA records.
        images: The folder that their image names are relative to; None if no record has an image.
        name: Of the data set that it is a copy of; empty for data of the user's own.
    """

    data: Path
    images: Path | None
    name: str = ""

    @property
    def label(self) -> str:
        """What logs call it: its name, or that of its file."""
        return self.name or self.data.stem


def load_source(
    source: Source, *, skip_bad: bool = False, on_skip: Callable[[str], None] | None = None
) -> list[Conversation]:
    """Reads a source's conversations and finds their image files, without decoding them.

    Args:
        source: What to read.
        skip_bad: Leave out broken records, and those whose image files are missing, instead of stopping.
        on_skip: Called with the reason for each record left out.

    Returns:
        The conversations; their `images` are now paths to open and `source` is the source's label, so that several
        sources can be joined.

    Raises:
        FileNotFoundError: If the file, the folder or an image file does not exist. With `skip_bad`, an image file
            only if no record has all of its own.
        ValueError: As `read_conversations`, or if records have images but no folder is given.
    """
    conversations = read_conversations(source.data, skip_bad=skip_bad, on_skip=on_skip)
    missing = _missing_files(source, conversations)
    incomplete = [one for one in conversations if not missing.isdisjoint(one.images)]
    if incomplete and (not skip_bad or len(incomplete) == len(conversations)):
        raise FileNotFoundError(_missing_message(source, missing, incomplete))
    if on_skip is not None:
        for one in incomplete:
            on_skip(_missing_message(source, missing, [one]))
    folder = source.images or Path()
    return [
        replace(one, images=tuple(str(folder / name) for name in one.images), source=source.label)
        for one in conversations
        if missing.isdisjoint(one.images)
    ]


@dataclass(frozen=True)
class Sample:
    """One conversation, ready to be put into a batch.

    Args:
        id: The conversation's.
        encoded: Its ids, labels and mask of visual tokens.
        images: Its images, prepared, in the order of their markers.
        source: The conversation's.
    """

    id: str
    encoded: Encoded
    images: tuple[PreparedImage, ...]
    source: str = ""


class ConversationDataset(Dataset[list[Sample]]):
    """Conversations with their images, each accompanied by a fixed number of others that ride along.

    Companions (pictures without text, as a rule) are extra: the conversations, their order and the number of steps
    stay the same with and without them, so that runs which differ only in companions can be compared.

    Args:
        conversations: What an epoch goes through, with paths to the image files as `load_source` gives them.
        encode: Turns a conversation into ids and labels.
        images: Reads and prepares their image files.
        companions: What rides along, in an order drawn once from the seed and gone through in turn.
        companions_per_sample: How many accompany each conversation.
        seed: Draws the order of the companions.
        lengths: Tokens of each conversation, as `token_report` counts them, for orders by length.

    Raises:
        ValueError: If there are companions but none per sample, or the reverse.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        *,
        encode: Callable[[Conversation], Encoded],
        images: ImagePreparation,
        companions: Sequence[Conversation] = (),
        companions_per_sample: int = 0,
        seed: int = 0,
        lengths: Sequence[int] = (),
    ) -> None:
        if bool(companions) != (companions_per_sample > 0):
            raise ValueError(
                f"{len(companions)} companions with {companions_per_sample} per sample: give both, or neither."
            )
        self.conversations = conversations
        self.encode = encode
        self.images = images
        self.lengths = lengths
        self.companions_per_sample = companions_per_sample
        order = torch.randperm(len(companions), generator=torch.Generator().manual_seed(seed)).tolist()
        self.companions: Sequence[Conversation] = [companions[index] for index in order]

    def __len__(self) -> int:
        """Counts the conversations, without companions."""
        return len(self.conversations)

    def __getitem__(self, index: int) -> list[Sample]:
        """Gives a conversation and its companions.

        Raises:
            ValueError: If one cannot be encoded or an image cannot be read; the message names the record.
        """
        first = index * self.companions_per_sample
        riding = [
            self.companions[position % len(self.companions)]
            for position in range(first, first + self.companions_per_sample)
        ]
        return [self._sample(conversation) for conversation in (self.conversations[index], *riding)]

    def _sample(self, conversation: Conversation) -> Sample:
        encoded = self.encode(conversation)
        images = tuple(self.images(Path(path), record=conversation.id) for path in conversation.images)
        return Sample(conversation.id, encoded, images, conversation.source)


def token_report(
    conversations: Sequence[Conversation], encode: Callable[[Conversation], Encoded]
) -> tuple[dict[str, int | str], list[int]]:
    """Counts exactly what training on conversations costs and learns from, by encoding each of them once.

    Args:
        conversations: What an epoch goes through.
        encode: Turns a conversation into ids and labels.

    Returns:
        Numbers of `samples`, `images`, `visual_tokens` (those that show a place of an image), `text_tokens` (all
        others), `supervised_tokens` and `truncated_samples`; `longest_sample` in tokens and its id, `longest_id`.
        Then the length of each conversation, in tokens, visual ones included.

    Raises:
        ValueError: If a conversation cannot be encoded.
    """
    keys = ("samples", "images", "visual_tokens", "text_tokens", "supervised_tokens", "truncated_samples")
    counts = dict.fromkeys(keys, 0)
    longest, lengths = (0, ""), []
    for conversation in track(conversations, description="counting tokens", transient=True):
        encoded = encode(conversation)
        num_visual = int(encoded.visual_mask.sum())
        num_tokens = len(encoded.input_ids)
        lengths.append(num_tokens)
        figures = (1, len(conversation.images), num_visual, num_tokens - num_visual, encoded.num_supervised)
        for key, figure in zip(keys, (*figures, int(encoded.truncated)), strict=True):
            counts[key] += figure
        longest = max(longest, (num_tokens, conversation.id), key=lambda pair: pair[0])
    return {**counts, "longest_sample": longest[0], "longest_id": longest[1]}, lengths


def _missing_files(source: Source, conversations: Sequence[Conversation]) -> set[str]:
    names = {name for conversation in conversations for name in conversation.images}
    folder = source.images
    if folder is None:
        if names:
            raise ValueError(f"{source.data}: its records have images, but no image folder is given. Name it.")
        return set()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder, but {source.data} needs its images from there.")
    return {name for name in names if not (folder / name).is_file()}


def _missing_message(source: Source, missing: set[str], incomplete: Sequence[Conversation]) -> str:
    first = incomplete[0]
    name = next(name for name in first.images if name in missing)
    num_missing = len(missing.intersection(name for one in incomplete for name in one.images))
    return (
        f"{source.images}: {num_missing} image file(s) of {source.data} are missing, the first is {name!r} of record "
        f"{first.id!r}. Is this the right image folder?"
    )
