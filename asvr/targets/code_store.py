"""Codes of a whole data set on disk: what lies in a store's folder, and whether it is whole.

cache.json          the manifest: which codes these are, and of which pictures
codes-00000.bin     uint16 little-endian (pictures, positions, depth)
keys-00000.bin      content key and CRC-32 of the codes of each picture
shard-00000.json    written last of a shard: counts, SHA-256 of both files, and pictures that could not be read
index.bin           all keys, sorted, with the place of each picture's codes
quarantine.txt      pictures that could not be read, and why
complete.json       written last of all
"""

import hashlib
import json
import math
import shlex
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from asvr.disk import sha256_of
from asvr.targets.resample import Grid

FORMAT = 1
MANIFEST, INDEX, QUARANTINE, COMPLETE = "cache.json", "index.bin", "quarantine.txt", "complete.json"
MAX_CODES = 2**16
"""Codes of a codebook that `uint16` can tell apart; the paper has 16,384."""

CODE = np.dtype("<u2")
KEY_BYTES = 16
KEYED = struct.Struct(f"<{KEY_BYTES}sI")
"""A picture in a shard's keys: content key, CRC-32 of its codes."""

ENTRY = struct.Struct(f"<{KEY_BYTES}sIII")
"""A picture in the index: content key, shard, row in the shard, CRC-32 of its codes."""


def content_key(image: Image) -> bytes:
    """Identifies a picture by its decoded pixels (BLAKE2b, 128 bits): renamed or packed otherwise, it has the same key.

    Any change of size or pixels makes another key.
    """
    assert image.mode == "RGB", f"a picture in mode {image.mode}"
    digest = hashlib.blake2b("{}x{}".format(*image.size).encode(), digest_size=KEY_BYTES)
    digest.update(image.tobytes())
    return digest.digest()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Which codes a store holds, and of which pictures.

    Args:
        identity: `VisualTokenizer.identity()` of the tokenizer that made the codes, its grid being that of the codes.
        fingerprint: Digest of the identity.
        num_codes: Code vectors per codebook.
        pictures: How many pictures were listed.
        listing_sha256: Hash of their names, in order.
        shard_size: Pictures listed per shard.
        command: What makes the store, without its folder.
        environment: What computed it.
        format: Version of the layout.
    """

    identity: dict[str, Any]
    fingerprint: str
    num_codes: int
    pictures: int
    listing_sha256: str
    shard_size: int
    command: str
    environment: dict[str, Any]
    format: int = FORMAT

    @property
    def grid(self) -> Grid:
        """Rows and columns of the codes of a picture."""
        rows, columns = self.identity["grid"]
        return rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """Positions and depth of the codes of a picture."""
        return math.prod(self.grid), self.identity["depth"]

    @property
    def picture_bytes(self) -> int:
        """What the codes of one picture take; 11.7 KB for the paper's 27 x 27 x 8."""
        return math.prod(self.shape) * CODE.itemsize

    @property
    def num_shards(self) -> int:
        """Shards of a whole store."""
        return math.ceil(self.pictures / self.shard_size)

    def to_json(self) -> str:
        """Writes the manifest as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read_manifest(store: Path) -> Manifest:
    """Reads the manifest of a store, whole or begun.

    Raises:
        FileNotFoundError: If the folder holds no store.
        ValueError: If the manifest is damaged, or of another version of the layout.
    """
    if not (store / MANIFEST).is_file():
        raise FileNotFoundError(
            f"{store} holds no cached codes ({MANIFEST} is missing): make them with `asvr targets cache`"
        )
    found = read_json(store / MANIFEST)
    if found.get("format") != FORMAT:
        raise ValueError(
            f"{store} has format {found.get('format')}, this version reads {FORMAT}: cache the codes again"
        )
    try:
        return Manifest(**found)
    except TypeError as error:
        raise ValueError(f"{store / MANIFEST} is damaged ({error}): cache the codes again into a new folder") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of a store.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and cache the codes again") from error


@dataclass(frozen=True)
class ShardFiles:
    """Files of one shard, and what they hold once the shard is finished."""

    store: Path
    number: int

    @property
    def codes(self) -> Path:
        """Codes of the shard's pictures."""
        return self.store / f"codes-{self.number:05}.bin"

    @property
    def keys(self) -> Path:
        """Keys of the shard's pictures."""
        return self.store / f"keys-{self.number:05}.bin"

    @property
    def marker(self) -> Path:
        """Written last."""
        return self.store / f"shard-{self.number:05}.json"

    def facts(self) -> dict[str, Any]:
        """Gives what the marker says; errors are those of `read_json`."""
        return read_json(self.marker)

    def fault(self, manifest: Manifest) -> str | None:
        """Says what is wrong with the shard as far as names and sizes tell; None for a finished one."""
        if not self.marker.is_file():
            return f"{self.marker.name} is missing"
        pictures = self.facts()["pictures"]
        for path, size in ((self.codes, manifest.picture_bytes), (self.keys, KEYED.size)):
            there = path.stat().st_size if path.is_file() else 0
            if there != pictures * size:
                return f"{path.name} has {there:,} bytes of {pictures * size:,}"
        return None

    def damage(self) -> list[str]:
        """Reads the files in full; gives the names of those whose bytes are no longer those that were written."""
        sha256 = self.facts()["sha256"]
        return [path.name for path in (self.codes, self.keys) if sha256_of(path) != sha256[path.name]]


def read_complete(store: Path, manifest: Manifest) -> dict[str, Any]:
    """Reads what a whole store says of itself, and checks that every file has its size.

    Raises:
        ValueError: If the store is not whole; the message says how far it is, and how to go on.
    """
    shards = [ShardFiles(store, number) for number in range(manifest.num_shards)]
    faults = [fault for shard in shards if (fault := shard.fault(manifest)) is not None]
    finished = manifest.num_shards - len(faults)
    if faults or not (store / COMPLETE).is_file():
        raise ValueError(
            f"{store} is not whole: {finished} of {manifest.num_shards} shards are finished "
            f"({faults[0] if faults else 'the index is missing'}). Finish it with {continuing(store, manifest)}"
        )
    complete = read_json(store / COMPLETE)
    size = complete["distinct"] * ENTRY.size
    there = (store / INDEX).stat().st_size if (store / INDEX).is_file() else 0
    if there != size:
        raise ValueError(
            f"{store / INDEX} has {there:,} bytes of {size:,}: delete {COMPLETE} beside it, then "
            f"{continuing(store, manifest)}"
        )
    return complete


def continuing(store: Path, manifest: Manifest) -> str:
    """Gives the command that finishes a store."""
    return f"`{manifest.command} --out {store}`"


def making(store: Path, tokenizer: Path, *, pictures: str, grid: Grid | None = None) -> str:
    """Gives the command that makes a store.

    Args:
        store: Its folder.
        tokenizer: Folder of the tokenizer whose codes it is to hold.
        pictures: Folder of the pictures.
        grid: Rows and columns of the codes, if not the tokenizer's own.
    """
    words = ["asvr", "targets", "cache", "--tokenizer", str(tokenizer), "--data", pictures, "--out", str(store)]
    return shlex.join([*words, "--grid", f"{grid[0]}x{grid[1]}"] if grid else words)
