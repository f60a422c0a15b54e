"""A table with its pictures inside, unpacked once into LLaVA records and picture files.

Everything downstream stays as it is: records are read and checked as any others, and a picture is a file.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from rich.progress import track

from asvr.data.conversation import IMAGE_MARKER
from asvr.disk import replacing, write_whole

if TYPE_CHECKING:
    import pyarrow

RECORDS, PICTURES = "records.jsonl", "images"
TABLE, SHARDS = "table.json", "shards"
"""What has been unpacked and how; and, until all is, the records of each file of the table."""

PICTURE_COLUMNS = ("image", "images")
ROWS_AT_ONCE = 64


def unpack(table: Path, out: Path, *, prompt: str | None = None, progress: bool = True) -> Path:
    """Writes a table's records and pictures as files; the same call continues what was cut short.

    A picture's bytes are written as they are, in a file that is named after their SHA-256, so one that several rows
    show is written once.

    Args:
        table: A parquet file, a folder of them, or a folder that `datasets` has saved. Its columns are those of
            LLaVA's published tables: `id`, `image` or `images` (bytes, or the path of a file), `conversations`.
        out: Folder that gets `records.jsonl` and `images`.
        prompt: Written below the picture in questions that are `<image>` alone.
        progress: Whether to draw a progress bar.

    Returns:
        The file of records, as `read_conversations` takes it.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If a file of it is damaged or has other columns, or `out` holds another table.
    """
    shards = _shards(table)
    above = table if table.is_dir() else table.parent
    names = [path.relative_to(above).as_posix() for path in shards]
    _claim(out, {"shards": names, "prompt": prompt}, table)
    if (out / RECORDS).is_file():
        return out / RECORDS
    parts = [out / SHARDS / f"{name}.jsonl" for name in names]
    pairs = zip(shards, parts, strict=True)
    for shard, part in track(pairs, description="unpacking", total=len(parts), transient=True, disable=not progress):
        if not part.is_file():
            lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in _records(shard, out, prompt)]
            part.parent.mkdir(parents=True, exist_ok=True)
            write_whole(part, "".join(lines))
    with replacing(out / RECORDS) as partial, partial.open("wb") as file:
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file)
    shutil.rmtree(out / SHARDS)
    return out / RECORDS


def _shards(table: Path) -> list[Path]:
    if table.is_file():
        return [table]
    if not table.is_dir():
        raise FileNotFoundError(f"{table}: no such table. Give a parquet file, or a folder of them.")
    for suffix in ("parquet", "arrow"):
        if found := sorted(table.rglob(f"*.{suffix}")):
            return found
    raise ValueError(f"{table} holds neither .parquet nor .arrow files. Give the folder that the download has filled.")


def _claim(out: Path, wanted: dict[str, Any], table: Path) -> None:
    if (out / TABLE).is_file():
        if json.loads((out / TABLE).read_text()) != wanted:
            raise ValueError(
                f"{out} holds a table that is not {table} with this prompt: choose another folder, or delete that one"
            )
        return
    if (out / RECORDS).exists():
        raise ValueError(f"{out / RECORDS} was not unpacked from a table: choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / TABLE, json.dumps(wanted, indent=2) + "\n")


def _records(shard: Path, out: Path, prompt: str | None) -> Iterator[dict[str, Any]]:
    for row in _rows(shard):
        cells = next((row[name] for name in PICTURE_COLUMNS if row.get(name) is not None), [])
        found = [_picture(cell, out) for cell in (cells if isinstance(cells, list) else [cells])]
        names = [name for name in found if name is not None]
        record = {name: row[name] for name in ("id", "category") if row.get(name) is not None}
        if names:
            record["image"] = names[0] if len(names) == 1 else names
        if row.get("conversations"):
            record["conversations"] = [_with_prompt(turn, prompt) for turn in row["conversations"]]
        yield record


def _rows(shard: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if shard.suffix == ".parquet":
            file = pq.ParquetFile(shard)
            schema, batches = file.schema_arrow, file.iter_batches(batch_size=ROWS_AT_ONCE)
        else:
            batches = pa.ipc.open_stream(pa.memory_map(str(shard)))
            schema = batches.schema
        _check_columns(shard, schema)
        for batch in batches:
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{shard}: cannot be read as a table ({error}). Fetch the file again.") from error


def _check_columns(shard: Path, schema: "pyarrow.Schema") -> None:
    if "conversations" not in schema.names and not set(PICTURE_COLUMNS) & set(schema.names):
        raise ValueError(
            f"{shard}: has the columns {', '.join(schema.names)}, but records need `conversations`, `image` (or "
            "`images`), or both. Rename its columns to these."
        )


def _picture(cell: Any, out: Path) -> str | None:
    """Gives the name of a cell's picture below the picture folder, writing the file where the cell has its bytes.

    An empty cell has none; its record is then refused when it is read, as one whose picture is missing.
    """
    content = cell
    if isinstance(cell, dict):
        content = cell["path"] if cell.get("bytes") is None else cell["bytes"]
    if not isinstance(content, bytes):
        return content
    digest = hashlib.sha256(content).hexdigest()[:32]
    file = out / PICTURES / digest[:2] / f"{digest}{_suffix(content)}"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            partial.write_bytes(content)
    return file.relative_to(out / PICTURES).as_posix()


def _suffix(content: bytes) -> str:
    """Tells a picture's format; of one that is damaged, that it is, since `asvr data check` finds it by its name."""
    try:
        with Image.open(BytesIO(content)) as image:
            name = (image.format or "picture").lower()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return ".damaged"
    return ".jpg" if name == "jpeg" else f".{name}"


def _with_prompt(turn: Any, prompt: str | None) -> Any:
    if prompt is None or not isinstance(turn, dict) or turn.get("value", "").strip() != IMAGE_MARKER:
        return turn
    return {**turn, "value": f"{IMAGE_MARKER}\n{prompt}"}
