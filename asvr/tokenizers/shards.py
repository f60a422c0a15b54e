"""Pictures → the codes of a shard → its files."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor

from asvr.data.loading import load_pictures
from asvr.data.pictures import Pictures
from asvr.disk import write_whole
from asvr.targets.code_store import CODE, KEYED, Manifest, ShardFiles, content_key
from asvr.targets.tokenizer import VisualTokenizer


class KeyedPicture(NamedTuple):
    """A picture that could be opened.

    Args:
        key: Its content key.
        prepared: What the tokenizer takes, or why it could not be prepared.
    """

    key: bytes
    prepared: Tensor | str


@dataclass
class ShardContent:
    """What a shard is to hold.

    Args:
        keys: Keys and CRC-32 of its pictures, packed.
        codes: Codes of its pictures.
        quarantine: `reason` and, if the picture could be opened, `key` in hexadecimal of each that has no codes.
    """

    keys: list[bytes] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)
    quarantine: list[dict[str, str | None]] = field(default_factory=list)


class ShardEncoder:
    """Encodes the pictures of shards.

    Args:
        tokenizer: Gives the codes; on its device.
        pictures: All pictures.
        manifest: Says which belong to which shard.
    """

    def __init__(self, tokenizer: VisualTokenizer, pictures: Pictures, manifest: Manifest) -> None:
        self.tokenizer = tokenizer
        self.pictures = pictures
        self.manifest = manifest

    def encode(
        self,
        shards: Sequence[ShardFiles],
        *,
        batch_size: int,
        workers: int,
        skip_bad: bool,
        on_pictures: Callable[[int], None],
    ) -> Iterator[tuple[ShardFiles, ShardContent]]:
        """Gives shard after shard; data workers read on over the ends of shards.

        Args:
            shards: Which.
            batch_size: Pictures encoded at once; the shard size is a multiple of it.
            workers: Data worker processes.
            skip_bad: Whether pictures that cannot be read are quarantined instead of stopping.
            on_pictures: Told how many further pictures are done.

        Raises:
            ValueError: If a picture cannot be read or prepared.
        """
        indices = [index for shard in shards for index in listed(shard, self.manifest)]
        content = ShardContent()

        def quarantine(index: int, reason: str, key: bytes | None = None) -> None:
            line = _named(self.pictures.name(index), reason)
            if not skip_bad:
                raise ValueError(f"{line} (--skip-bad leaves such pictures out, and lists them)")
            content.quarantine.append({"reason": line, "key": None if key is None else key.hex()})

        prepare = partial(keyed, prepare=self.tokenizer.prepare)
        loading = {"batch_size": batch_size, "workers": workers, "on_bad": quarantine}
        batches = load_pictures(self.pictures, indices, prepare, **loading)
        for shard in shards:
            content, count = ShardContent(), len(listed(shard, self.manifest))
            for batch in islice(batches, -(-count // batch_size)):
                self._add(content, batch, quarantine)
                on_pictures(min(batch_size, count))
                count -= batch_size
            yield shard, content

    def _add(
        self,
        content: ShardContent,
        batch: list[tuple[int, KeyedPicture]],
        quarantine: Callable[[int, str, bytes], None],
    ) -> None:
        usable = []
        for index, (key, prepared) in batch:
            if isinstance(prepared, str):
                quarantine(index, prepared, key)
            else:
                usable.append((key, prepared))
        if not usable:
            return
        keys, tensors = zip(*usable, strict=True)
        device = self.tokenizer.quantizer.books.device
        codes = self.tokenizer.encode(torch.stack(tensors).to(device)).cpu().numpy().astype(CODE)
        for key, own in zip(keys, codes, strict=True):
            content.codes.append(own.tobytes())
            content.keys.append(KEYED.pack(key, zlib.crc32(content.codes[-1])))


def listed(shard: ShardFiles, manifest: Manifest) -> range:
    """Gives the numbers of a shard's pictures in the listing."""
    first = shard.number * manifest.shard_size
    return range(first, min(first + manifest.shard_size, manifest.pictures))


def keyed(image: Image, *, prepare: Callable[[Image], Tensor]) -> KeyedPicture:
    """Identifies and prepares a picture; image processors refuse some that can be opened, such as one pixel's."""
    key = content_key(image)
    try:
        return KeyedPicture(key, prepare(image))
    except ValueError as error:
        return KeyedPicture(key, f"it cannot be prepared ({error})")


def _named(name: str, reason: str) -> str:
    """Puts a picture's name before what is wrong with it, on one line."""
    line = " ".join(reason.split())
    return line if line.startswith(name) else f"{name}: {line}"


def write_shard(shard: ShardFiles, content: ShardContent) -> None:
    """Writes a shard; without its marker, which comes last, it does not exist.

    Raises:
        OSError: If the disk does not take it.
    """
    shard.marker.unlink(missing_ok=True)
    sha256 = {}
    for path, parts in ((shard.codes, content.codes), (shard.keys, content.keys)):
        data = b"".join(parts)
        write_whole(path, data)
        sha256[path.name] = hashlib.sha256(data).hexdigest()
    facts = {"pictures": len(content.keys), "sha256": sha256, "quarantine": content.quarantine}
    write_whole(shard.marker, json.dumps(facts, indent=2) + "\n")
