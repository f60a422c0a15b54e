"""Conversations about images, read from LLaVA's record format."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

IMAGE_MARKER = "<image>"
"""Stands in a user turn where an image is shown; the n-th marker of a record is its n-th image."""

_ROLES: dict[str, Literal["user", "assistant"]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


@dataclass(frozen=True)
class Turn:
    """One utterance.

    Args:
        role: Who speaks.
        text: What is said, with `<image>` where an image is shown.
    """

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Conversation:
    """A sample before any model has seen it: text about images, text alone, or images alone.

    Args:
        id: Unique in its file.
        images: File names relative to the image folder, in the order of their markers.
        turns: User and assistant in turn, ending with the assistant; empty for a record of images alone.
        category: Kind of question, by which scores are reported; empty if the record names none.
        source: What the log calls the source that it was read from; empty before it is joined with others.
    """

    id: str
    images: tuple[str, ...]
    turns: tuple[Turn, ...]
    category: str = ""
    source: str = ""


def read_conversations(
    path: Path, *, skip_bad: bool = False, on_skip: Callable[[str], None] | None = None
) -> list[Conversation]:
    """Reads a file of LLaVA records, refusing every record that training would misread.

    A record is `{"id", "image", "conversations": [{"from", "value"}], "category"}`. Without `image` it is text alone;
    without `conversations`, images alone. A record without `id` is called by its index. Ids that different records
    share (in LLaVA's own mixture the id is the picture's name) are told apart by a suffix `~2`, `~3` and so on.

    Args:
        path: A JSON list of records, or a `.jsonl` file with one record per line.
        skip_bad: Leave out broken records instead of stopping at the first one. A file that is not JSON at all is
            refused either way.
        on_skip: Called with the reason for each record left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a non-empty list of JSON objects, or a record is broken; the message names the
            file, the record's index and its id. With `skip_bad`, only if no good record remains.
    """
    conversations: list[Conversation] = []
    first_with: dict[Conversation, int] = {}
    num_with_id: dict[str, int] = {}
    for index, record in enumerate(_load_records(path)):
        try:
            conversation = _conversation(record, index=index)
            _refuse(
                conversation in first_with,
                f"repeats record {first_with.get(conversation)} word for word. Delete one of them",
            )
        except ValueError as error:
            reason = f"{path}: record {index}{_name_of(record)}: {error}."
            if not skip_bad:
                raise ValueError(reason) from error
            if on_skip is not None:
                on_skip(reason)
            continue
        first_with[conversation] = index
        num_with_id[conversation.id] = num = num_with_id.get(conversation.id, 0) + 1
        conversations.append(conversation if num == 1 else replace(conversation, id=f"{conversation.id}~{num}"))
    if not conversations:
        raise ValueError(f"{path}: every record is broken. Read it without skipping to see the first error.")
    return conversations


def _refuse(broken: bool, rule: str) -> None:
    if broken:
        raise ValueError(rule)


def _name_of(record: object) -> str:
    return f" (id {record['id']!r})" if isinstance(record, dict) and "id" in record else ""


def _load_records(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Give a JSON list of LLaVA records, or a .jsonl file.")
    if path.suffix in (".parquet", ".arrow"):
        raise ValueError(f"{path}: is a table, not records. Unpack it once, with `asvr data unpack`.")
    empty = True
    try:
        for record in _json_lines(path) if path.suffix == ".jsonl" else _json_list(path):
            empty = False
            yield record
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}). Give JSON, unpacked and in UTF-8.") from error
    if empty:
        raise ValueError(f"{path}: holds no records. Give a file with at least one.")


def _json_list(path: Path) -> list[Any]:
    records = _json(path, path.read_text(encoding="utf-8-sig"))
    if not isinstance(records, list):
        raise ValueError(f"{path}: must be a JSON list of records, but is a {type(records).__name__}. Wrap it in [ ].")
    return records


def _json_lines(path: Path) -> Iterator[Any]:
    """Reads line by line, since millions of records are too many to hold as text as well."""
    # No other line ends: U+2028 may stand inside a JSON string.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json(path, line, first_line=number)


def _json(path: Path, text: str, *, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise ValueError(f"{path}: not JSON at line {line}, column {error.colno}: {error.msg}. Mend it.") from error


def _conversation(record: object, *, index: int) -> Conversation:
    """Checks one record; the errors say only what is wrong, the caller says where."""
    if not isinstance(record, dict):
        raise ValueError(f"must be an object with `image` and `conversations`, but is a {type(record).__name__}")
    _refuse(
        "image" not in record and "conversations" not in record,
        "has neither `image` nor `conversations`. Give it one of them",
    )
    name = record.get("id", str(index))
    # Some published mixtures number their records.
    name = str(name) if type(name) is int else _string(name, what="`id`")
    images = _images(record["image"]) if "image" in record else ()
    turns = _turns(record["conversations"]) if "conversations" in record else ()
    if turns:
        _check_markers(turns, num_images=len(images))
    category = _string(record["category"], what="`category`") if "category" in record else ""
    return Conversation(id=name, images=images, turns=turns, category=category)


def _string(value: object, *, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, but is {value!r}")
    _refuse(not value.strip(), f"{what} is empty. Fill it in or leave it out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} holds half a character ({error.reason}). Write it again as UTF-8") from error
    return value


def _images(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    _refuse(not names, "`image` is an empty list. Leave the key out of a record without images")
    images = tuple(_string(name, what="`image`") for name in names)
    for name in images:
        absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
        _refuse(
            absolute or ".." in PureWindowsPath(name).parts,
            f"`image` must be a path inside the image folder, but is {name!r}. Give it relative to that folder",
        )
    return images


def _turns(value: object) -> tuple[Turn, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"`conversations` must be a list of turns, but is {value!r}. Leave it out if there is no text")
    turns = tuple(_turn(item, number=number) for number, item in enumerate(value))
    for number, turn in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        _refuse(
            turn.role != expected,
            f"turn {number} is the {turn.role}'s, but turns must alternate from the user's on. "
            "Join or drop turns until they do",
        )
    _refuse(turns[-1].role == "user", "ends with a question nobody answers. Drop the last turn or add the answer")
    return turns


def _turn(value: object, *, number: int) -> Turn:
    if not isinstance(value, dict) or "from" not in value or "value" not in value:
        raise ValueError(f'turn {number} must be {{"from": ..., "value": ...}}, but is {value!r}')
    speaker = value["from"]
    if not isinstance(speaker, str) or speaker not in _ROLES:
        raise ValueError(f"turn {number} is from {speaker!r}. Use 'human' and 'gpt' (or 'user' and 'assistant')")
    text = _string(value["value"], what=f"the text of turn {number}")
    _refuse(
        _ROLES[speaker] == "assistant" and IMAGE_MARKER in text,
        f"turn {number} is an answer that holds {IMAGE_MARKER}. Images belong in the user's turns",
    )
    return Turn(role=_ROLES[speaker], text=text)


def _check_markers(turns: Sequence[Turn], *, num_images: int) -> None:
    num_markers = sum(turn.text.count(IMAGE_MARKER) for turn in turns)
    _refuse(
        num_markers != num_images,
        f"{num_markers} {IMAGE_MARKER} in the text for {num_images} image(s). "
        f"Write one {IMAGE_MARKER} in a human turn for each image, where the image is to be shown",
    )
