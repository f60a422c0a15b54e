"""Finishes a store: the index of all its shards, and the list of pictures that have no codes."""

import hashlib
import json
from pathlib import Path

import numpy as np

from asvr.disk import write_whole
from asvr.targets.code_store import COMPLETE, ENTRY, INDEX, QUARANTINE, Manifest, ShardFiles


def write_index(store: Path, manifest: Manifest) -> None:
    """Writes `index.bin`, `quarantine.txt` and, last, `complete.json`.

    The latter has the numbers of `pictures` with codes, of `distinct` ones and of those `quarantined`, the SHA-256 of
    the index, and why pictures that could be opened have no codes, by their keys.

    Raises:
        ValueError: If a shard is missing or its keys are damaged, or no picture could be read.
        OSError: If the disk does not take the files.
    """
    shards = [ShardFiles(store, number) for number in range(manifest.num_shards)]
    faults = [fault for shard in shards if (fault := shard.fault(manifest)) is not None]
    if faults:
        raise ValueError(f"{store} cannot be finished: {faults[0]}. Give the same command once more")
    facts = [shard.facts() for shard in shards]
    pictures = sum(one["pictures"] for one in facts)
    quarantine = [picture for one in facts for picture in one["quarantine"]]
    if not pictures:
        raise ValueError(f"{store}: none of {manifest.pictures} pictures can be read; {quarantine[0]['reason']}")
    index = sorted_entries(shards)
    complete = {
        "pictures": pictures,
        "distinct": len(index) // ENTRY.size,
        "quarantined": len(quarantine),
        "index_sha256": hashlib.sha256(index).hexdigest(),
        "quarantine": {picture["key"]: picture["reason"] for picture in quarantine if picture["key"]},
    }
    write_whole(store / INDEX, index)
    write_whole(store / QUARANTINE, "".join(f"{picture['reason']}\n" for picture in quarantine))
    write_whole(store / COMPLETE, json.dumps(complete, indent=2) + "\n")


_KEY = [("high", ">u8"), ("low", ">u8")]
"""A key as two numbers that sort as its bytes do."""

_KEYED = [*_KEY, ("crc32", "<u4")]
_ENTRY = [*_KEY, ("shard", "<u4"), ("row", "<u4"), ("crc32", "<u4")]


def sorted_entries(shards: list[ShardFiles]) -> bytes:
    """Makes the index: entries of all pictures, sorted by key; of equal pictures the first.

    Raises:
        ValueError: If a shard's keys are damaged.
    """
    entries = np.concatenate([_entries(shard) for shard in shards])
    # Stable, so that of equal keys the first stays first.
    entries = entries[np.lexsort((entries["low"], entries["high"]))]
    first = np.ones(len(entries), bool)
    first[1:] = (np.diff(entries["high"]) != 0) | (np.diff(entries["low"]) != 0)
    # Concatenating has turned the keys' bytes around.
    return entries[first].astype(_ENTRY).tobytes()


def _entries(shard: ShardFiles) -> np.ndarray:
    data = shard.keys.read_bytes()
    if hashlib.sha256(data).hexdigest() != shard.facts()["sha256"][shard.keys.name]:
        raise ValueError(f"{shard.keys} is damaged: delete {shard.marker}, then give the same command once more")
    keyed = np.frombuffer(data, _KEYED)
    entries = np.zeros(len(keyed), _ENTRY)
    for name in ("high", "low", "crc32"):
        entries[name] = keyed[name]
    entries["shard"], entries["row"] = shard.number, np.arange(len(keyed))
    return entries
