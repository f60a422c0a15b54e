import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from asvr.data.pictures import find_pictures
from asvr.targets.cache import CachedCodes
from asvr.targets.code_store import ShardFiles, content_key
from asvr.targets.storage import differences
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.caching import Caching, cache_codes
from asvr.tokenizers.indexing import sorted_entries
from tests.parts import pictures, write_tokenizer, write_tower


@pytest.fixture(scope="module")
def store(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes of the eight pictures of tests/parts.py, in two shards."""
    out = tmp_path_factory.mktemp("cache") / "store"
    visual = VisualTokenizer.from_pretrained(parts / "tokenizer")
    cache_codes(visual, find_pictures(str(parts / "records" / "images")), out, Caching(shard_size=4, batch_size=4))
    return out


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(store, tmp_path / "store"))


def test_the_key_is_the_hash_of_size_and_pixels() -> None:
    image = pictures(1)[0]
    expected = hashlib.blake2b(b"30x30" + np.asarray(image).tobytes(), digest_size=16).digest()
    assert content_key(image) == expected
    # The same bytes in another shape are another picture.
    wide, high = Image.new("RGB", (8, 2)), Image.new("RGB", (2, 8))
    assert wide.tobytes() == high.tobytes() and content_key(wide) != content_key(high)


def test_codes_come_without_the_tower(store: Path, parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts / "tokenizer", tmp_path / "tokenizer"))
    shutil.rmtree(folder / "tower")
    cached = CachedCodes.open(store, folder)
    visual = VisualTokenizer.from_pretrained(parts / "tokenizer")
    images = pictures(8)
    prepared = torch.stack([cached.prepare(image) for image in images])
    codes = cached.encode(prepared)
    assert codes.dtype == torch.long
    assert torch.equal(codes, visual.encode(torch.stack([visual.prepare(image) for image in images])))
    assert cached.grid == visual.grid and torch.equal(cached.quantizer.codebooks, visual.quantizer.codebooks)
    assert cached.tower_sha256 == visual.tower_sha256
    assert not list(cached.parameters())
    none = cached.encode_none(torch.device("cpu"))
    assert none.shape == (0, 3) and none.dtype == torch.long


def brighter(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).copy()
    pixels[29, 29, 2] += 1
    return Image.fromarray(pixels)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cropped": lambda image: image.crop((0, 0, 29, 30)),
    "flipped": ImageOps.mirror,
    "resized": lambda image: image.resize((24, 24)),
    "one pixel brighter by one": brighter,
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_picture_that_was_changed_after_decoding_has_no_codes(change: str, store: Path, parts: Path) -> None:
    cached = CachedCodes.open(store, parts / "tokenizer")
    changed = CHANGES[change](pictures(1)[0])
    with pytest.raises(ValueError, match=r"no codes of a picture of \d+x\d+ pixels.*cropped, flipped, resized"):
        cached.prepare(changed)


def test_a_lookup_goes_to_data_workers(store: Path, parts: Path) -> None:
    prepare = CachedCodes.open(store, parts / "tokenizer").prepare
    image = pictures(3)[2]
    expected = prepare(image)
    # Opened by then: the map itself cannot travel.
    packed = pickle.dumps(prepare)
    assert len(packed) < 10_000 and torch.equal(pickle.loads(packed)(image), expected)
    loaded = DataLoader([image], batch_size=None, num_workers=1, collate_fn=prepare, multiprocessing_context="fork")
    assert torch.equal(next(iter(loaded)), expected)


def other_tower(parts: Path, folder: Path) -> Path:
    tower = write_tower(folder / "tower", seed=9)
    return write_tokenizer(folder / "other", tower)


def other_depth(parts: Path, folder: Path) -> Path:
    return write_tokenizer(folder / "other", parts / "tower", depth=2)


def other_preprocessing(parts: Path, folder: Path) -> Path:
    copied = Path(shutil.copytree(parts / "tokenizer", folder / "other"))
    config = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "preprocessor_config.json").write_text(json.dumps({**config, "image_mean": [0.4, 0.5, 0.5]}))
    return copied


def other_codebooks(parts: Path, folder: Path) -> Path:
    copied = Path(shutil.copytree(parts / "tokenizer", folder / "copied"))
    other = write_tokenizer(folder / "other", write_tower(folder / "tower", seed=9))
    shutil.copy(other / "codebooks.safetensors", copied)
    return copied


OTHERS: dict[str, tuple[Callable[[Path, Path], Path], list[str]]] = {
    "tower": (other_tower, [r"features\.tower_sha256 is '[0-9a-f]{64}' there and '[0-9a-f]{64}' here"]),
    "depth": (other_depth, ["depth is 3 there and 2 here", "codebooks_sha256"]),
    "preprocessing": (other_preprocessing, [r"preprocessing\.image_mean is \[0\.5, .* there and \[0\.4, .* here"]),
    "codebooks": (other_codebooks, ["tokenizer [^:]*: codebooks_sha256 is '[^;]*here. Cache"]),
}


@pytest.mark.parametrize("kind", list(OTHERS))
def test_a_store_of_another_tokenizer_is_refused_with_what_differs(
    kind: str, store: Path, parts: Path, tmp_path: Path
) -> None:
    make, words = OTHERS[kind]
    other = make(parts, tmp_path)
    for word in words:
        with pytest.raises(ValueError, match=word):
            CachedCodes.open(store, other)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found_before_it_trains(own: Path, parts: Path) -> None:
    flip(own / "codes-00001.bin", 30)
    assert ShardFiles(own, 0).damage() == [] and ShardFiles(own, 1).damage() == ["codes-00001.bin"]
    cached, images = CachedCodes.open(own, parts / "tokenizer"), pictures(8)
    # 24 bytes a picture: it is the shard's second.
    with pytest.raises(
        ValueError, match=r"codes-00001\.bin is damaged: the codes of its picture 1 .*shard-00001\.json"
    ):
        cached.prepare(images[5])
    for index in (0, 4, 6):
        cached.prepare(images[index])


def cut(name: str) -> Callable[[Path], object]:
    return lambda store: (store / name).write_bytes((store / name).read_bytes()[:-1])


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated codes": (
        cut("codes-00000.bin"),
        r"not whole: 1 of 2 shards are finished \(codes-00000\.bin has 95 .* 96",
    ),
    "truncated keys": (cut("keys-00001.bin"), r"not whole: 1 of 2 shards are finished \(keys-00001\.bin has 79 .* 80"),
    "no codes": (lambda store: (store / "codes-00001.bin").unlink(), r"codes-00001\.bin has 0 bytes of 96"),
    "no marker": (
        lambda store: (store / "shard-00001.json").unlink(),
        r"\(shard-00001\.json is missing\).*asvr targets",
    ),
    "damaged marker": (lambda store: (store / "shard-00001.json").write_text("{"), r"shard-00001\.json is damaged"),
    "truncated index": (cut("index.bin"), r"index\.bin has 223 bytes of 224"),
    "not finished": (lambda store: (store / "complete.json").unlink(), r"2 of 2 shards .*the index is missing"),
    "damaged manifest": (lambda store: (store / "cache.json").write_text("{"), r"cache\.json is damaged"),
    "manifest of another version": (
        lambda store: (store / "cache.json").write_text('{"format": 9}'),
        "has format 9, this version reads 1",
    ),
    "manifest without its fields": (
        lambda store: (store / "cache.json").write_text('{"format": 1}'),
        r"cache\.json is damaged .*identity",
    ),
}


@pytest.mark.parametrize("kind", list(SPOILT))
def test_a_spoilt_store_is_not_opened(kind: str, own: Path, parts: Path) -> None:
    spoil, words = SPOILT[kind]
    spoil(own)
    with pytest.raises(ValueError, match=words):
        CachedCodes.open(own, parts / "tokenizer")


def test_no_store_and_no_tokenizer_are_told_apart(store: Path, parts: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no cached codes .*asvr targets cache"):
        CachedCodes.open(tmp_path, parts / "tokenizer")
    with pytest.raises(FileNotFoundError, match="holds no visual tokenizer"):
        CachedCodes.open(store, tmp_path)


def test_the_index_is_sorted_by_key_and_keeps_the_first_of_equal_ones(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    # Few values per byte, so that keys share their first halves and some are equal.
    keys = [bytes(draw.choice([0, 1, 255], 16, p=[0.98, 0.01, 0.01]).astype("uint8")) for _ in range(600)]
    expected: dict[bytes, tuple[int, int, int]] = {}
    shards = []
    for number in range(2):
        shard = ShardFiles(tmp_path, number)
        own_keys = keys[300 * number : 300 * (number + 1)]
        data = b"".join(key + row.to_bytes(4, "little") for row, key in enumerate(own_keys))
        shard.keys.write_bytes(data)
        shard.marker.write_text(json.dumps({"sha256": {shard.keys.name: hashlib.sha256(data).hexdigest()}}))
        shards.append(shard)
        for row, key in enumerate(own_keys):
            # The checksum that was written is the row.
            expected.setdefault(key, (number, row, row))
    entries = [key + b"".join(value.to_bytes(4, "little") for value in expected[key]) for key in sorted(expected)]
    assert len(expected) < 600
    assert sorted_entries(shards) == b"".join(entries)


def test_differences_name_what_either_side_has() -> None:
    there, here = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}
    assert differences(there, there) == []
    assert differences(there, here) == [
        "a.c is 2 there and 4 here",
        "d is 3 there and None here",
        "e is None there and 5 here",
    ]
