"""Codes that were computed once, as a target encoder: no tokenizer runs while a model trains."""

import json
import mmap
import zlib
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor

from asvr.interfaces import TargetEncoder
from asvr.targets.code_store import (
    CODE,
    ENTRY,
    INDEX,
    KEY_BYTES,
    MANIFEST,
    Manifest,
    ShardFiles,
    content_key,
    continuing,
    making,
    read_complete,
    read_manifest,
)
from asvr.targets.preparing import load_image_processor
from asvr.targets.resample import Grid
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.storage import differences
from asvr.targets.tokenizer import damaged, read_config, read_quantizer
from asvr.targets.towers import fingerprint


class NotCached(ValueError):
    """A picture has no codes in a store."""


class CodeLookup:
    """One picture → its codes in a store, found by the picture's content.

    The index is memory-mapped in each process that looks something up, and searched by halves, so that five million
    pictures take no memory of their own. Codes are read at their place and not mapped: a map of each of thousands of
    shards would hold an open file each.

    Args:
        store: Folder of a whole store.
        manifest: Its manifest.
        quarantine: Why a picture has no codes, by its key in hexadecimal.
    """

    def __init__(self, store: Path, manifest: Manifest, quarantine: dict[str, str]) -> None:
        self.store = store
        self.manifest = manifest
        self.quarantine = quarantine
        self._index: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None}

    def __call__(self, image: Image) -> Int[Tensor, "positions depth"]:
        """Looks up the codes of an RGB picture.

        Raises:
            NotCached: If the store has none of it.
            ValueError: If what is stored is damaged.
        """
        key = content_key(image)
        shard, row, crc32 = self._find(key, image.size)
        path, (positions, depth) = ShardFiles(self.store, shard).codes, self.manifest.shape
        codes = np.fromfile(path, CODE, positions * depth, offset=row * self.manifest.picture_bytes)
        if zlib.crc32(codes.tobytes()) != crc32:
            marker = ShardFiles(self.store, shard).marker.name
            raise ValueError(
                f"{path} is damaged: the codes of its picture {row} are not those that were written. Delete {marker} "
                f"beside it, then {continuing(self.store, self.manifest)}"
            )
        return torch.from_numpy(codes.astype(np.int32)).view(positions, depth)

    def _find(self, key: bytes, size: tuple[int, int]) -> tuple[int, int, int]:
        """Gives shard, row and CRC-32."""
        index = self._mapped()
        place = bisect_left(
            range(len(index) // ENTRY.size), key, key=lambda i: index[i * ENTRY.size : i * ENTRY.size + KEY_BYTES]
        )
        if place * ENTRY.size < len(index):
            found, shard, row, crc32 = ENTRY.unpack_from(index, place * ENTRY.size)
            if found == key:
                return shard, row, crc32
        if key.hex() in self.quarantine:
            raise NotCached(f"{self.store} has no codes of this picture: {self.quarantine[key.hex()]}")
        raise NotCached(
            f"{self.store} has no codes of a picture of {size[0]}x{size[1]} pixels: it has those of whole pictures as "
            "their files decode here. One that was cropped, flipped, resized or otherwise changed before it became a "
            "target would need other codes: train on pictures as they are, cache these too, or train without a cache"
        )

    def _mapped(self) -> mmap.mmap:
        if self._index is None:
            with (self.store / INDEX).open("rb") as file:
                self._index = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._index


class CachedCodes(TargetEncoder):
    """Codes of a visual tokenizer, read from a store instead of computed; the tokenizer's networks are never loaded.

    Args:
        lookup: Where the codes are.
        quantizer: The tokenizer's codebooks, in which heads look codes up.
    """

    def __init__(self, lookup: CodeLookup, quantizer: ResidualQuantizer) -> None:
        super().__init__()
        self.prepare = lookup
        self.grid = lookup.manifest.grid
        self.quantizer = quantizer
        self.requires_grad_(False).eval()

    @classmethod
    def open(cls, store: str | Path, tokenizer: str | Path, *, grid: Grid | None = None) -> "CachedCodes":
        """Opens a store for a visual tokenizer.

        The codebooks and the image processor are compared as they are in the tokenizer's folder; of its networks only
        the recorded hashes, since loading them is what a cache saves.

        Args:
            store: What `asvr targets cache` wrote.
            tokenizer: Folder of the tokenizer whose codes are wanted.
            grid: Rows and columns of the codes, if not the tokenizer's own.

        Raises:
            FileNotFoundError: If there is no store or no tokenizer.
            ValueError: If the store is not whole or damaged, or of another tokenizer, preprocessing, depth or grid.
        """
        store, tokenizer = Path(store), Path(tokenizer)
        if not (store / MANIFEST).is_file():
            raise FileNotFoundError(
                f"{store} holds no cached codes ({MANIFEST} is missing): make them with "
                f"`{making(store, tokenizer, pictures='PICTURES', grid=grid)}`, where PICTURES is a folder with the "
                "pictures of all stages, or set target.cache=none, which computes codes in every step"
            )
        manifest = read_manifest(store)
        config = read_config(tokenizer)
        quantizer, identity = _read_identity(tokenizer, config, keys=list(manifest.identity), grid=grid)
        if differing := differences(manifest.identity, identity):
            raise ValueError(
                f"{store} does not hold the codes of the visual tokenizer {tokenizer}: {'; '.join(differing)}. Cache "
                "the codes of this one with `asvr targets cache`, or name the one that the store was made with"
            )
        complete = read_complete(store, manifest)
        return cls(CodeLookup(store, manifest, complete["quarantine"]), quantizer)

    def encode(self, prepared: Int[Tensor, "images positions depth"]) -> Int[Tensor, "images positions depth"]:
        """Gives the codes of each image in raster order, as they were looked up."""
        return prepared.long()

    def encode_none(self, device: torch.device) -> Int[Tensor, "0 depth"]:
        """Gives the codes of no visual tokens."""
        return torch.empty(0, self.quantizer.depth, dtype=torch.long, device=device)

    def identity(self) -> dict[str, Any]:
        """Gives the identity of the tokenizer that made the codes."""
        return self.prepare.manifest.identity

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Says how pictures were prepared, in the image processor's own plain values."""
        return self.identity()["preprocessing"]

    @property
    def tower_sha256(self) -> str | None:
        """Identifies the vision tower whose features are quantised; None where they are no tower's."""
        return self.identity()["features"].get("tower_sha256")


def _read_identity(
    folder: Path, config: dict[str, Any], *, keys: list[str], grid: Grid | None
) -> tuple[ResidualQuantizer, dict[str, Any]]:
    """Reads a tokenizer's codebooks, and what can change its codes, without its networks."""
    try:
        quantizer = read_quantizer(folder, config)
    except (SafetensorError, KeyError, OSError) as error:
        raise damaged(folder, error) from error
    recorded = {key: config[key] for key in keys if key in config}
    read = {
        "codebooks_sha256": fingerprint(quantizer),
        "preprocessing": json.loads(json.dumps(load_image_processor(folder).to_dict())),
        "grid": list(grid or config["grid"]),
    }
    return quantizer, {**recorded, **read}
