import json
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, LlamaForCausalLM, SiglipVisionModel
from typer.testing import CliRunner

from asvr.cli.world import app
from asvr.world.measure import measure_language_model, measure_tower
from asvr.world.probe import ATTRIBUTES
from asvr.world.questions import KINDS


def run(*arguments: str | Path | int) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("command") / "world"
    counts = ["--train", 8, "--unlabelled", 0, "--val", 0, "--test", 2, "--tower", 8, "--language", 20]
    assert str(out.name) in run("make", "--out", out, *counts)
    return out


def test_one_command_makes_a_tower_of_the_size_asked_for(world: Path, tmp_path: Path) -> None:
    size = ["--image-size", 48, "--patch-size", 8, "--hidden-size", 16, "--num-layers", 2]
    out = tmp_path / "tower"
    images = ["--images", world / "images", "--out", out]
    output = run("tower", "--data", world / "tower.json", *images, *size, "--steps", 2, "--batch-size", 4)
    config = SiglipVisionModel.from_pretrained(out).config
    assert (config.image_size, config.patch_size, config.hidden_size, config.num_hidden_layers) == (48, 8, 16, 2)
    assert AutoImageProcessor.from_pretrained(out).size == {"height": 48, "width": 48}
    record = json.loads((out / "making.json").read_text())
    assert len(record["first_losses"]) == 2
    assert str(tmp_path.name) in output.replace("\n", "")
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "making.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]


def test_a_tower_learns_from_captions_as_well(world: Path, tmp_path: Path) -> None:
    data = ["--data", world / "train_captions.json", "--images", world / "images"]
    run("tower", *data, "--out", tmp_path, "--hidden-size", 16, "--num-layers", 2, "--steps", 1, "--batch-size", 4)
    assert (tmp_path / "model.safetensors").is_file()


def test_one_command_makes_a_language_model_that_loads_with_stock_classes(world: Path, tmp_path: Path) -> None:
    data = ["--data", world / "language.json", "--captions", world / "language_captions.json", "--out", tmp_path]
    run("language-model", *data, "--hidden-size", 16, "--num-layers", 1, "--steps", 2, "--batch-size", 4)
    assert LlamaForCausalLM.from_pretrained(tmp_path).config.hidden_size == 16


def test_measurements_join_the_record_of_how_a_model_was_made(world: Path, tmp_path: Path) -> None:
    data = ["--data", world / "tower.json", "--images", world / "images", "--out", tmp_path / "tower"]
    run("tower", *data, "--hidden-size", 16, "--num-layers", 2, "--steps", 1, "--batch-size", 4)
    measure_tower(tmp_path / "tower", num_pictures=30)
    data = ["--data", world / "language.json", "--captions", world / "language_captions.json", "--out", tmp_path / "lm"]
    run("language-model", *data, "--hidden-size", 16, "--num-layers", 1, "--steps", 1, "--batch-size", 4)
    measure_language_model(tmp_path / "lm", num_scenes=5)
    record = json.loads((tmp_path / "tower" / "making.json").read_text())
    assert set(record["measured"]["probe"]) == set(ATTRIBUTES)
    record = json.loads((tmp_path / "lm" / "making.json").read_text())
    assert set(record["measured"]["accuracy"]) <= set(KINDS)
    assert record["first_losses"]


def test_a_missing_picture_is_named(world: Path, tmp_path: Path) -> None:
    data = ["--data", world / "tower.json", "--images", tmp_path, "--out", tmp_path / "out"]
    with pytest.raises(ValueError, match=r"tower-\d\.png: record 'tower-\d' needs this image"):
        run("tower", *data, "--hidden-size", 16, "--num-layers", 2, "--steps", 1)


def test_a_size_that_patches_do_not_fill_is_refused(world: Path, tmp_path: Path) -> None:
    data = ["--data", world / "tower.json", "--images", world / "images", "--out", tmp_path]
    with pytest.raises(ValueError, match="72, 11"):
        run("tower", *data, "--patch-size", 11)
