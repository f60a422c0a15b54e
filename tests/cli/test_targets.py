import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from asvr.cli.recipes import find_recipe
from asvr.cli.study import plan_arms
from asvr.targets.cache import CachedCodes
from tests.cli.command import DATA, Command, other_tower, truncate


def caching(command: Command, *more: str) -> list[str]:
    given = ["--data", str(command.records / "captions.json"), "--images", command.images[0]]
    shards = ["--shard-size", "4", "--batch-size", "4"]
    out = ["--out", str(command.folder / "store")]
    return ["targets", "cache", "--tokenizer", str(command.tokenizer), *given, *shards, *out, *more]


@pytest.fixture
def command(parts: Path, tmp_path: Path, asvr: Callable) -> Command:
    """A training command beside a store with the codes of all its pictures."""
    command = Command(parts, tmp_path)
    assert asvr(caching(command)) == (0, "")
    command.more += ["--cache", str(tmp_path / "store")]
    return command


def test_a_run_trains_from_a_store(command: Command, tmp_path: Path, asvr: Callable) -> None:
    # What loading the tokenizer would need.
    command.tokenizer = str(shutil.copytree(command.tokenizer or "", tmp_path / "tokenizer"))
    shutil.rmtree(tmp_path / "tokenizer" / "tower")
    assert asvr(command.argv()) == (0, "")
    assert (command.out / "instruct" / "model" / "model.safetensors").is_file()


def test_a_store_says_what_it_holds_and_finds_damage(command: Command, capsys: pytest.CaptureFixture) -> None:
    from asvr.cli.targets import info

    store = command.folder / "store"
    info(store, verify=True)
    said = capsys.readouterr().out
    assert "2 x 2 positions, 3 of 8 each" in said and "asvr targets cache --tokenizer" in said
    assert "8 pictures, 8 of them distinct, 0 quarantined" in said and "every one as written" in said
    path = store / "keys-00001.bin"
    path.write_bytes(path.read_bytes()[::-1])
    info(store, verify=False)
    with pytest.raises(
        ValueError, match=r"1 file\(s\) are damaged \(keys-00001\.bin\): delete them, then `asvr targets"
    ):
        info(store, verify=True)


def test_the_command_that_a_store_remembers_continues_it(command: Command, asvr: Callable) -> None:
    store = command.folder / "store"
    whole = {path.name: path.read_bytes() for path in store.iterdir()}
    (store / "shard-00001.json").unlink()
    code, said = asvr(["targets", "info", str(store)])
    assert code == 1 and "1 of 2 shards are finished" in said
    words = json.loads((store / "cache.json").read_text())["command"].split()
    assert f"Finish it with `{' '.join(words)} --out {store}`" in said
    assert asvr([*words[1:], "--out", str(store)]) == (0, "")
    assert {path.name: path.read_bytes() for path in store.iterdir()} == whole


def new_picture(command: Command) -> None:
    Image.new("RGB", (30, 30), "red").save(command.records / "images" / "3.png")


def mirrored_pictures(command: Command) -> None:
    for name in ("1.png", "3.png"):
        path = command.records / "images" / name
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def unfinished(command: Command) -> None:
    (command.folder / "store" / "shard-00000.json").unlink()


def no_store(command: Command) -> None:
    shutil.rmtree(command.folder / "store")


def store_of_another_tower(command: Command, asvr: Callable) -> None:
    no_store(command)
    other_tower(command)
    assert asvr(caching(command)) == (0, "")


def no_visual_loss(command: Command) -> None:
    command.recipe, command.tokenizer = "tiny-llava", None
    command.changes = {name: value for name, value in command.changes.items() if "supervision" not in name}


REFUSED: dict[str, tuple[Callable[[Command], object], list[str]]] = {
    "a new picture": (new_picture, ["1 of 8 pictures have no cached codes", "3.png, record 'c3'", "30x30 pixels"]),
    "mirrored pictures": (mirrored_pictures, ["2 of 8 pictures", "1.png, record 'c1'", "flipped", "without a cache"]),
    "unfinished store": (unfinished, ["1 of 2 shards are finished", "Finish it with `asvr targets cache"]),
    "no store": (no_store, ["holds no cached codes", "`asvr targets cache --tokenizer", "target.cache=none"]),
    "another tokenizer": (other_tower, ["does not hold the codes of", "features.tower_sha256 is"]),
    "a recipe without codes": (no_visual_loss, ["'tiny-llava' has no visual loss", "--cache", "leave it out"]),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_run_whose_pictures_have_no_codes_does_not_start(kind: str, command: Command, asvr: Callable) -> None:
    spoil, words = REFUSED[kind]
    spoil(command)
    code, said = asvr(command.argv())
    assert code == 1 and all(word in said for word in words), said
    assert not command.out.exists()


def test_the_store_of_a_tower_that_is_not_the_model_s_own_is_refused_unless_it_is_meant(
    command: Command, asvr: Callable
) -> None:
    store_of_another_tower(command, asvr)
    code, said = asvr(command.argv())
    assert code == 1 and "fitted on another vision tower" in said and "own_tower=false" in said
    command.changes |= {f"stages.{stage}.supervision.semantic.target.own_tower": "false" for stage in DATA}
    assert asvr(command.argv()) == (0, "")


@pytest.mark.parametrize(
    ("recipe", "loss", "name"),
    [("appearance-vicuna-7b", "appearance", "appearance"), ("asvr-s2-next-vicuna-7b", "semantic", "siglip-so400m")],
)
def test_a_recipe_with_a_cache_says_how_to_make_it_and_trains_both_stages_from_it(
    recipe: str, loss: str, name: str, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asvr: Callable
) -> None:
    """Its folders are relative to where the command is run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(parts / "tokenizer", f"tokenizers/{name}")
    command = Command(parts, tmp_path, recipe)
    command.tokenizer = None
    command.changes = {path.replace("semantic", loss): value for path, value in command.changes.items()}
    command.changes["precision"] = "fp32"
    code, said = asvr(command.argv())
    assert code == 1 and f"targets/{name} holds no cached codes" in said and not command.out.exists()
    told = said.split("`")[1]
    assert told == f"asvr targets cache --tokenizer tokenizers/{name} --data PICTURES --out targets/{name}"
    assert asvr([*told.replace("PICTURES", command.images[0]).split()[1:], "--batch-size", "4"]) == (0, "")
    assert asvr(command.argv()) == (0, "")
    for stage in ("pretrain", "instruct"):
        assert f"loss_{loss}" in (command.out / stage / "metrics.jsonl").read_text()


def test_the_arms_of_a_study_that_have_a_visual_loss_share_a_store() -> None:
    arms = plan_arms(["tiny-llava", "tiny-asvr"], {}, tokenizer=Path("t"), cache=Path("c"), equal_time=None)
    assert arms[0].recipe == find_recipe("tiny-llava")
    targets = [term.target for stage in arms[1].recipe.stages for term in stage.supervision.values()]
    assert [(target.tokenizer, target.cache) for target in targets] == [("t", "c")] * 2


def test_a_missing_picture_is_no_broken_record(command: Command, asvr: Callable) -> None:
    new_picture(command)
    command.more.append("--skip-bad")
    code, said = asvr(command.argv())
    assert code == 1 and "1 of 8 pictures have no cached codes" in said


def test_without_the_check_the_run_stops_at_the_picture(command: Command, asvr: Callable) -> None:
    new_picture(command)
    command.more.append("--no-check-images")
    code, said = asvr(command.argv())
    assert code == 1 and "no codes of a picture of 30x30 pixels" in said and command.out.exists()


def test_pictures_that_cannot_be_read_are_listed_and_training_leaves_them_out_too(
    parts: Path, tmp_path: Path, asvr: Callable
) -> None:
    command = Command(parts, tmp_path)
    truncate(command)
    code, said = asvr(caching(command))
    assert code == 1 and "7.png" in said and "--skip-bad" in said
    code, said = asvr(caching(command, "--skip-bad"))
    assert code == 0 and "1 picture(s) cannot be read" in said and "quarantine.txt" in said
    command.more += ["--cache", str(tmp_path / "store")]
    code, said = asvr(command.argv())
    assert code == 1 and "7.png" in said and "cannot be read" in said
    command.more.append("--skip-bad")
    code, said = asvr(command.argv())
    assert code == 0 and "left out 2 record(s)" in said


OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "grid": (["--grid", "27"], ["--grid 27", "ROWSxCOLUMNS"]),
    "empty grid": (["--grid", "0x3"], ["--grid 0x3", "ROWSxCOLUMNS"]),
    "sizes": (["--batch-size", "3"], ["a shard of 4 pictures", "batches of 3"]),
    "tokenizer": (["--tokenizer", "nowhere"], ["nowhere holds no visual tokenizer"]),
    "empty folder": (["--data", "EMPTY"], ["has no images"]),
}


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_options_that_make_no_store(kind: str, parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    (tmp_path / "empty").mkdir()
    options, words = OPTIONS[kind]
    options = [option.replace("EMPTY", str(tmp_path / "empty")) for option in options]
    code, said = asvr(caching(command, *options))
    assert code == 1 and all(word in said for word in words), said
    assert not (tmp_path / "store").exists()


def test_another_grid_is_stored_and_remembered(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    assert asvr(caching(command, "--grid", "3x4")) == (0, "")
    assert CachedCodes.open(tmp_path / "store", parts / "tokenizer", grid=(3, 4)).grid == (3, 4)
    assert "--grid 3x4" in json.loads((tmp_path / "store" / "cache.json").read_text())["command"]
