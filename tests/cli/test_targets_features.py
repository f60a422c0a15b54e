import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asvr.targets.continuous import ContinuousTargets
from tests.cli.command import Command, truncate
from tests.targets.checkpoints import write_autoencoder


@pytest.fixture
def command(parts: Path, tmp_path: Path) -> Command:
    return Command(parts, tmp_path)


def features(command: Command, *more: str, tower: str | None = "tower") -> list[str]:
    source = ["--tower", str(command.parts / tower)] if tower else []
    return ["targets", "features", *source, "--out", str(command.folder / "targets"), *more]


def test_features_are_standardised_over_pictures_and_few_are_called_few(command: Command, asvr: Callable) -> None:
    given = ["--data", str(command.records / "captions.json"), "--images", command.images[0]]
    code, said = asvr(features(command, *given))
    assert code == 0 and "few pictures: 8; give 10,000 or more" in said
    targets = ContinuousTargets.from_pretrained(command.folder / "targets")
    config = json.loads((command.folder / "targets" / "continuous_targets.json").read_text())
    assert config["about"]["pictures"] == 8 and config["about"]["visual_tokens"] == 32 and config["channels"] == 32
    assert (targets.statistics.deviation != 1).all() and targets.about["data"] == given[1]


def test_without_pictures_features_stay_as_they_are(command: Command, asvr: Callable) -> None:
    assert asvr(features(command, "--layer", "-1")) == (0, "")
    targets = ContinuousTargets.from_pretrained(command.folder / "targets")
    assert torch.equal(targets.statistics.deviation, torch.ones(32)) and targets.features.describe()["layer"] == -1


def test_latents_are_sampled_where_that_is_asked_for(command: Command, asvr: Callable) -> None:
    folder = write_autoencoder(command.folder / "vae", levels=4)
    (command.folder / "release").mkdir()
    folder.rename(command.folder / "release" / "vae")
    given = ["--features", "vae", "--tower", str(command.folder / "release"), "--sample"]
    assert asvr(features(command, *given, tower=None)) == (0, "")
    targets = ContinuousTargets.from_pretrained(command.folder / "targets")
    assert targets.grid == (27, 27) and targets.features.describe()["sample"] is True


def test_bad_pictures_stop_or_are_listed(command: Command, asvr: Callable) -> None:
    truncate(command)
    given = ["--data", str(command.records / "captions.json"), "--images", command.images[0]]
    code, said = asvr(features(command, *given))
    assert code == 1 and "7.png" in said and not (command.folder / "targets").exists()
    code, said = asvr(features(command, *given, "--skip-bad"))
    assert code == 0 and "left out:" in said and "few pictures: 7" in said


REFUSED: dict[str, tuple[list[str], str]] = {
    "sampled tower": (["--sample"], "--sample does not apply"),
    "unknown source": (["--features", "sigclip"], "--features sigclip: choose one of siglip"),
    "no pictures": (["--data", "/nowhere"], "/nowhere: no such file or folder"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_options_that_make_no_targets(kind: str, command: Command, asvr: Callable) -> None:
    more, said = REFUSED[kind]
    code, error = asvr(features(command, *more))
    assert code == 1 and said in error and not (command.folder / "targets").exists()
