import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from asvr.data.pictures import PictureFiles, find_pictures
from asvr.targets.cache import CachedCodes
from asvr.targets.code_store import ShardFiles, content_key, read_manifest
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.caching import Caching, cache_codes
from tests.parts import pictures

ROOT = Path(__file__).parents[2]
SMALL = Caching(shard_size=4, batch_size=2)
COUNT = 14
"""Pictures: three shards of four, and one of two."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index, picture in enumerate(pictures(COUNT)):
        picture.save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def visual(parts: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(parts / "tokenizer")


@pytest.fixture(scope="module")
def store(images: Path, visual: VisualTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one uninterrupted process has written."""
    out = tmp_path_factory.mktemp("whole") / "store"
    complete = cache_codes(visual, find_pictures(str(images)), out, SMALL)
    assert (complete["pictures"], complete["distinct"], complete["quarantined"]) == (COUNT, COUNT, 0)
    return out


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_every_picture_has_the_codes_that_the_tokenizer_gives_it_alone(
    images: Path, visual: VisualTokenizer, store: Path, parts: Path
) -> None:
    cached = CachedCodes.open(store, parts / "tokenizer")
    for path in sorted(images.iterdir()):
        picture = Image.open(path).convert("RGB")
        assert torch.equal(
            cached.encode(cached.prepare(picture).unsqueeze(0)), visual.encode(visual.prepare(picture)[None])
        )


def test_the_files_are_plain_arrays(images: Path, visual: VisualTokenizer, store: Path) -> None:
    # The layout as it is documented, read without this package: 2 x 2 positions of 3 codes.
    second = np.fromfile(store / "codes-00001.bin", "<u2").reshape(4, 4, 3)
    picture = Image.open(images / "05.png").convert("RGB")
    assert np.array_equal(second[1], visual.encode(visual.prepare(picture)[None])[0])
    keys = (store / "keys-00001.bin").read_bytes()
    assert len(keys) == 4 * 20 and keys[20:36] == content_key(picture)
    assert sum(path.stat().st_size for path in store.glob("codes-*.bin")) == COUNT * 4 * 3 * 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_does_not_depend_on_workers_nor_on_a_second_run(
    workers: int, images: Path, visual: VisualTokenizer, store: Path, tmp_path: Path
) -> None:
    caching = Caching(shard_size=4, batch_size=2, workers=workers)
    for _ in range(2):
        cache_codes(visual, find_pictures(str(images)), tmp_path / "store", caching)
    assert contents(tmp_path / "store") == contents(store)


def die(visual: VisualTokenizer, images: Path, out: Path) -> None:
    """Caches until the third shard is being computed. A forked process must not use the threads of its parent."""
    torch.set_num_threads(1)
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        if done > 8:
            os.kill(os.getpid(), signal.SIGKILL)

    cache_codes(visual, find_pictures(str(images)), out, SMALL, on_pictures=count)


def test_what_was_killed_continues_and_ends_the_same(
    images: Path, visual: VisualTokenizer, store: Path, parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    killed = multiprocessing.get_context("fork").Process(target=die, args=(visual, images, out))
    killed.start()
    killed.join(timeout=60)
    assert killed.exitcode == -signal.SIGKILL
    assert [(out / f"shard-{number:05}.json").is_file() for number in range(4)] == [True, True, False, False]
    with pytest.raises(ValueError, match=r"not whole: 2 of 4 shards .* Finish it with `asvr targets cache"):
        CachedCodes.open(out, parts / "tokenizer")
    (out / "codes-00002.bin.99.partial").write_bytes(b"cut short")
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    cache_codes(visual, find_pictures(str(images)), out, SMALL)
    assert contents(out) == contents(store)
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    kept = ["cache.json", "codes-00000.bin", "codes-00001.bin", "shard-00001.json"]
    assert [after[name] for name in kept] == [before[name] for name in kept]


def test_two_processes_write_what_one_writes(images: Path, store: Path, parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # What torchrun sets; it would itself take seconds to start.
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **world}
    argv = [sys.executable, "-m", "tests.tokenizers.caching_rank", str(parts / "tokenizer"), str(images), str(out)]
    ranks = [
        subprocess.Popen(
            argv, cwd=ROOT, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in "01"
    ]
    try:
        for process in ranks:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in ranks:
            process.kill()
            process.communicate()
    assert contents(out) == contents(store)
    shares = [json.loads((tmp_path / f"done-{rank}.json").read_text()) for rank in range(2)]
    # Shards 0 and 2, of four pictures each, and shards 1 and 3, of four and two.
    assert shares == [8, 6]


def test_a_full_disk_leaves_whole_shards_and_the_same_call_goes_on(
    images: Path, visual: VisualTokenizer, store: Path, tmp_path: Path
) -> None:
    out, done = tmp_path / "store", 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(count: int) -> None:
        nonlocal done
        done += count
        # The codes of a shard are 4 pictures of 24 bytes.
        limit = 90 if done > 8 else soft
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    try:
        with pytest.raises(OSError, match=r"codes-00002\.bin cannot be written .* make room on that disk"):
            cache_codes(visual, find_pictures(str(images)), out, SMALL, on_pictures=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    manifest = read_manifest(out)
    assert [ShardFiles(out, number).fault(manifest) is None for number in range(4)] == [True, True, False, False]
    assert not list(out.glob("*.partial"))
    cache_codes(visual, find_pictures(str(images)), out, SMALL)
    assert contents(out) == contents(store)


def spoil(images: Path, folder: Path) -> Path:
    """Copies the pictures, with four that cannot be read and one that cannot be prepared."""
    shutil.copytree(images, folder)
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:200])
    (folder / "05.png").write_text("a red box")
    (folder / "06.png").write_bytes(b"")
    # The header of 400 million pixels, which Pillow takes for a decompression bomb.
    whole = (folder / "07.png").read_bytes()
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + whole[24:29]
    (folder / "07.png").write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])
    return folder


def test_pictures_that_cannot_be_read_stop_with_their_name(
    images: Path, visual: VisualTokenizer, tmp_path: Path
) -> None:
    folder = spoil(images, tmp_path / "images")
    with pytest.raises(ValueError, match=r"03\.png: .* cannot be read .*--skip-bad leaves such pictures out"):
        cache_codes(visual, find_pictures(str(folder)), tmp_path / "store", SMALL)


def test_pictures_that_cannot_be_read_are_counted_and_listed(
    images: Path, visual: VisualTokenizer, store: Path, parts: Path, tmp_path: Path
) -> None:
    folder = spoil(images, tmp_path / "images")
    skipping = Caching(shard_size=4, batch_size=2, skip_bad=True)
    complete = cache_codes(visual, find_pictures(str(folder)), tmp_path / "store", skipping)
    assert (complete["pictures"], complete["quarantined"]) == (COUNT - 4, 4)
    lines = (tmp_path / "store" / "quarantine.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(folder / f"0{index}.png") for index in (3, 5, 6, 7)]
    assert "decompression bomb" in lines[3]
    whole, cached = (
        CachedCodes.open(store, parts / "tokenizer"),
        CachedCodes.open(tmp_path / "store", parts / "tokenizer"),
    )
    for index in (0, 4, 13):
        picture = Image.open(images / f"{index:02}.png").convert("RGB")
        assert torch.equal(whole.prepare(picture), cached.prepare(picture))


def refuse_small(image: Image.Image) -> torch.Tensor:
    if image.width < 8:
        raise ValueError("too narrow")
    return torch.zeros(3, 24, 24)


def test_a_picture_that_cannot_be_prepared_gives_its_reason_when_it_is_asked_for(
    parts: Path, images: Path, tmp_path: Path
) -> None:
    visual = VisualTokenizer.from_pretrained(parts / "tokenizer")
    visual.prepare = refuse_small
    narrow = Image.new("RGB", (3, 30), "red")
    narrow.save(tmp_path / "narrow.png")
    listed = PictureFiles((tmp_path / "narrow.png", images / "00.png"), ("a", "b"), (None, None))
    with pytest.raises(ValueError, match=r"narrow\.png: it cannot be prepared \(too narrow\)"):
        cache_codes(visual, listed, tmp_path / "stopped", SMALL)
    complete = cache_codes(visual, listed, tmp_path / "store", Caching(shard_size=4, batch_size=4, skip_bad=True))
    assert complete["quarantined"] == 1
    with pytest.raises(ValueError, match=r"narrow\.png: it cannot be prepared \(too narrow\)"):
        CachedCodes.open(tmp_path / "store", parts / "tokenizer").prepare(narrow)


def test_equal_pictures_of_other_names_are_found_as_one(
    images: Path, visual: VisualTokenizer, parts: Path, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.bmp", "c.png"):
        Image.open(images / "00.png").save(tmp_path / "images" / name)
    complete = cache_codes(visual, find_pictures(str(tmp_path / "images")), tmp_path / "store", SMALL)
    assert (complete["pictures"], complete["distinct"]) == (3, 1)
    picture = Image.open(images / "00.png").convert("RGB")
    found = CachedCodes.open(tmp_path / "store", parts / "tokenizer").prepare(picture)
    assert torch.equal(found.long(), visual.encode(visual.prepare(picture)[None])[0])


def test_another_grid_has_the_codes_of_the_tokenizer_with_that_grid(
    images: Path, visual: VisualTokenizer, parts: Path, tmp_path: Path
) -> None:
    finer = visual.with_grid((1, 3))
    cache_codes(finer, find_pictures(str(images)), tmp_path / "store", SMALL)
    cached = CachedCodes.open(tmp_path / "store", parts / "tokenizer", grid=(1, 3))
    assert cached.grid == (1, 3)
    picture = Image.open(images / "09.png").convert("RGB")
    assert torch.equal(cached.prepare(picture).long(), finer.encode(finer.prepare(picture)[None])[0])
    with pytest.raises(ValueError, match=r"grid is \[1, 3\] there and \[2, 2\] here"):
        CachedCodes.open(tmp_path / "store", parts / "tokenizer")


BEGUN: dict[str, tuple[Callable[[VisualTokenizer, Path], tuple], str]] = {
    "grid": (
        lambda visual, images: (visual.with_grid((1, 1)), images, SMALL),
        r"identity\.grid is \[2, 2\] there and \[1, 1\] here",
    ),
    "shard size": (
        lambda visual, images: (visual, images, Caching(shard_size=8, batch_size=2)),
        "shard_size is 4 there and 8 here",
    ),
    "listing": (
        lambda visual, images: (visual, Path(shutil.copytree(images, images.with_name("copy"))), SMALL),
        "listing_sha256 is",
    ),
    "codebooks": (
        lambda visual, images: (
            VisualTokenizer(visual.features, ResidualQuantizer(visual.quantizer.books.flip(1))),
            images,
            SMALL,
        ),
        r"identity\.codebooks_sha256 is",
    ),
}


@pytest.mark.parametrize("kind", list(BEGUN))
def test_a_store_that_was_begun_otherwise_is_left_alone(
    kind: str, images: Path, visual: VisualTokenizer, store: Path, tmp_path: Path
) -> None:
    other, words = BEGUN[kind]
    before = contents(store)
    copied = Path(shutil.copytree(images, tmp_path / "images"))
    changed, folder, caching = other(visual, copied)
    listed = find_pictures(str(images if folder == copied else folder))
    with pytest.raises(ValueError, match=f"was begun otherwise: .*{words}.*choose another --out"):
        cache_codes(changed, listed, store, caching)
    assert contents(store) == before


def test_a_folder_of_something_else_is_left_alone(images: Path, visual: VisualTokenizer) -> None:
    before = contents(images)
    with pytest.raises(ValueError, match="holds files, but no store"):
        cache_codes(visual, find_pictures(str(images)), images, SMALL)
    assert contents(images) == before


def test_a_shard_that_was_cut_short_is_written_again(
    images: Path, visual: VisualTokenizer, store: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(store, tmp_path / "store"))
    (out / "codes-00003.bin").write_bytes((out / "codes-00003.bin").read_bytes()[:-1])
    cache_codes(visual, find_pictures(str(images)), out, SMALL)
    assert contents(out) == contents(store)


def test_damaged_keys_do_not_get_into_the_index(
    images: Path, visual: VisualTokenizer, store: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(store, tmp_path / "store"))
    (out / "complete.json").unlink()
    (out / "keys-00002.bin").write_bytes(bytes(4 * 20))
    with pytest.raises(ValueError, match=r"keys-00002\.bin is damaged: delete .*shard-00002\.json"):
        cache_codes(visual, find_pictures(str(images)), out, SMALL)
    (out / "shard-00002.json").unlink()
    cache_codes(visual, find_pictures(str(images)), out, SMALL)
    assert contents(out) == contents(store)


def test_sizes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="a shard of 10 pictures cannot be cut into batches of 4"):
        Caching(shard_size=10, batch_size=4)


def test_more_codes_than_uint16_tells_apart_are_refused(images: Path, visual: VisualTokenizer, tmp_path: Path) -> None:
    many = VisualTokenizer(visual.features, ResidualQuantizer(torch.zeros(1, 2**16 + 1, 32)))
    with pytest.raises(ValueError, match="codebooks of 65,537 codes: a store tells 65,536 apart"):
        cache_codes(many, find_pictures(str(images)), tmp_path / "store", SMALL)
    assert not (tmp_path / "store").exists()


def test_nothing_readable_is_no_store(visual: VisualTokenizer, parts: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_text("no picture")
    skipping = Caching(shard_size=4, batch_size=2, skip_bad=True)
    with pytest.raises(ValueError, match=r"none of 1 pictures can be read; .*a\.png"):
        cache_codes(visual, find_pictures(str(tmp_path / "images")), tmp_path / "store", skipping)
    with pytest.raises(ValueError, match=r"not whole: 1 of 1 shards are finished .the index is missing"):
        CachedCodes.open(tmp_path / "store", parts / "tokenizer")


def test_the_manifest_says_what_made_the_store(store: Path, visual: VisualTokenizer, parts: Path) -> None:
    manifest = json.loads((store / "cache.json").read_text())
    config = json.loads((parts / "tokenizer" / "visual_tokenizer.json").read_text())
    assert manifest["fingerprint"] == config["fingerprint"]
    assert manifest["identity"]["features"]["tower_sha256"] == visual.tower_sha256
    assert manifest["environment"]["versions"]["torch"] == torch.__version__
