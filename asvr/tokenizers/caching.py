"""Writes the codes of a whole data set into a store, on as many processes as were started."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asvr.data.pictures import Pictures, names_sha256
from asvr.disk import write_whole, writing
from asvr.environment import environment
from asvr.targets.code_store import COMPLETE, MANIFEST, MAX_CODES, Manifest, ShardFiles, read_manifest
from asvr.targets.storage import differences, digest
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.indexing import write_index
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.shards import ShardEncoder, listed, write_shard


@dataclass(frozen=True, kw_only=True)
class Caching:
    """How a store is written; the shard size alone changes what is written.

    Args:
        shard_size: Pictures per shard, which is the most that an interruption loses. A multiple of the batch size, so
            that a picture is encoded beside the same others in every run.
        batch_size: Pictures encoded at once.
        workers: Data worker processes.
        skip_bad: Whether pictures that cannot be read are left out and listed instead of stopping.
        command: What makes the store, without its folder; errors name it as the way to go on.

    Raises:
        ValueError: If the shard size is no multiple of the batch size.
    """

    shard_size: int = 1024
    batch_size: int = 64
    workers: int = 0
    skip_bad: bool = False
    command: str = "asvr targets cache ..."

    def __post_init__(self) -> None:
        """Refuses sizes that do not go together."""
        if self.batch_size < 1 or self.shard_size < 1 or self.shard_size % self.batch_size:
            raise ValueError(
                f"a shard of {self.shard_size} pictures cannot be cut into batches of {self.batch_size}: choose a "
                "--shard-size that is a multiple of --batch-size"
            )


def cache_codes(
    tokenizer: VisualTokenizer,
    pictures: Pictures,
    store: Path,
    caching: Caching,
    *,
    on_pictures: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Computes the codes of all pictures once, and writes them where `CachedCodes` finds them.

    Finished shards are kept, so the same call continues what was interrupted, and the files end the same, whatever the
    interruptions and the number of processes.

    Args:
        tokenizer: Gives the codes; moved to the device.
        pictures: What is encoded.
        store: Folder of the store.
        caching: How it is written.
        on_pictures: Told how many further pictures are done, of this process's share.

    Returns:
        What `complete.json` says (`asvr/tokenizers/indexing.py`).

    Raises:
        ValueError: If a picture cannot be read, or the store was begun with another tokenizer, grid or listing.
        OSError: If the disk does not take the files; finished shards stay whole.
    """
    ranks = Ranks()
    manifest = describe(tokenizer, pictures, caching)
    claim(store, manifest, ranks)
    shards = [ShardFiles(store, number) for number in range(ranks.index, manifest.num_shards, ranks.count)]
    pending = [shard for shard in shards if shard.fault(manifest) is not None]
    if pending:
        # Its shards are about to change.
        (store / COMPLETE).unlink(missing_ok=True)
    on_pictures(sum(len(listed(shard, manifest)) for shard in shards if shard not in pending))
    encoder = ShardEncoder(tokenizer.to(ranks.device), pictures, manifest)
    options = {"batch_size": caching.batch_size, "workers": caching.workers, "skip_bad": caching.skip_bad}
    for shard, content in encoder.encode(pending, **options, on_pictures=on_pictures):
        write_shard(shard, content)
    ranks.wait()
    if ranks.is_first and not (store / COMPLETE).is_file():
        write_index(store, manifest)
    ranks.wait()
    return json.loads((store / COMPLETE).read_text())


def describe(tokenizer: VisualTokenizer, pictures: Pictures, caching: Caching) -> Manifest:
    """Says what a store will hold.

    Raises:
        ValueError: If codes do not fit into `uint16`.
    """
    num_codes = tokenizer.quantizer.num_codes
    if num_codes > MAX_CODES:
        raise ValueError(f"codebooks of {num_codes:,} codes: a store tells {MAX_CODES:,} apart, use smaller codebooks")
    identity = json.loads(json.dumps(tokenizer.identity()))
    return Manifest(
        identity=identity,
        fingerprint=digest(identity),
        num_codes=num_codes,
        pictures=len(pictures),
        listing_sha256=names_sha256(pictures),
        shard_size=caching.shard_size,
        command=caching.command,
        environment=environment(),
    )


def claim(store: Path, manifest: Manifest, ranks: Ranks) -> None:
    """Begins a store, or checks that the one in the folder is this one.

    Raises:
        ValueError: If it is another, or the folder holds other files.
        OSError: If the folder cannot be written.
    """
    if ranks.is_first:
        if store.is_dir() and not (store / MANIFEST).is_file() and any(store.iterdir()):
            raise ValueError(f"{store} holds files, but no store: choose another --out, or empty the folder")
        with writing(store):
            store.mkdir(parents=True, exist_ok=True)
        if not (store / MANIFEST).is_file():
            write_whole(store / MANIFEST, manifest.to_json())
        # Left by a process that was killed while it wrote.
        for leftover in store.glob("*.partial"):
            leftover.unlink()
    ranks.wait()
    begun = read_manifest(store)
    if differing := differences(_decisive(begun), _decisive(manifest)):
        raise ValueError(
            f"{store} was begun otherwise: {'; '.join(differing)}. Repeat the command it was begun with, choose "
            "another --out, or delete the folder"
        )


def _decisive(manifest: Manifest) -> dict[str, Any]:
    names = ("identity", "num_codes", "pictures", "listing_sha256", "shard_size")
    return {name: vars(manifest)[name] for name in names}
