"""Runs whose targets are continuous: ROSS over latents and features, and VIRAL."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from asvr.targets.continuous import ContinuousTargets
from asvr.targets.sources import LatentSpec
from asvr.training.trainer import StageTrainer
from tests.parts import write_targets, write_tower
from tests.targets.checkpoints import write_autoencoder
from tests.training.runs import metrics, model_bytes, train

STAGES = ("pretrain", "instruct")


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sampled latents on the tiny model's grid of two rows and columns."""
    folder = tmp_path_factory.mktemp("latents")
    features = LatentSpec(str(write_autoencoder(folder / "autoencoder")), image_size=8, sample=True).build()
    ContinuousTargets(features).save_pretrained(folder / "targets")
    return folder / "targets"


def set_target(name: str, field: str, value: str) -> dict[str, str]:
    return {f"stages.{stage}.supervision.{name}.target.{field}": value for stage in STAGES}


def lines(stage: Path) -> list[dict[str, Any]]:
    return [line for line in metrics(stage) if "loss_text" in line]


def test_ross_over_the_model_s_own_features(parts: Path, tmp_path: Path) -> None:
    out = train("ross-siglip-next-vicuna-7b", parts, tmp_path / "run").parent
    for stage in STAGES:
        for line in lines(out / stage):
            halves = (line["semantic_loss_little_noise"], line["semantic_loss_much_noise"])
            assert sum(halves) / 2 == pytest.approx(line["loss_semantic"], rel=1e-5)
            assert line["loss"] == pytest.approx(line["loss_text"] + line["loss_semantic"], rel=1e-4)
    # A fresh head guesses no noise at all, whose mean square is 1: over 4 pictures, 4 draws, 4 tokens of 32 channels.
    assert lines(out / "pretrain")[0]["loss_semantic"] == pytest.approx(1, abs=5 * (2 / 2048) ** 0.5)
    heads = load_file(out / "instruct" / "heads" / "semantic.safetensors")
    assert heads["network.target_out.weight"].any()


def test_a_resumed_run_draws_what_the_uninterrupted_one_draws(
    parts: Path, latents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, changes = "ross-vae-next-vicuna-7b", set_target("appearance", "folder", str(latents))
    whole = train(name, parts, tmp_path / "whole", **changes).parent
    plain, steps = StageTrainer.training_step, iter(range(5))

    def stopped(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        if next(steps) == 3:
            raise KeyboardInterrupt
        return plain(self, *args, **kwargs)

    # Two steps of the first stage, one of the second.
    monkeypatch.setattr(StageTrainer, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(name, parts, tmp_path / "run", **changes)
    monkeypatch.setattr(StageTrainer, "training_step", plain)
    run = train(name, parts, tmp_path / "run", **changes).parent
    for stage in STAGES:
        assert model_bytes(run / stage) == model_bytes(whole / stage), stage
        assert lines(run / stage) == lines(whole / stage), stage


def test_viral_aligns_a_middle_layer_in_the_second_stage(parts: Path, tmp_path: Path) -> None:
    out = train("viral-next-vicuna-7b", parts, tmp_path / "run").parent
    assert all("loss_semantic" not in line for line in lines(out / "pretrain"))
    for line in lines(out / "instruct"):
        assert line["loss_semantic"] == pytest.approx(1 - line["semantic_cosine"], rel=1e-5)
        assert line["loss"] == pytest.approx(line["loss_text"] + 0.5 * line["loss_semantic"], rel=1e-4)


TERM = "stages.pretrain.supervision.semantic"
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no folder": ({f"{TERM}.target.folder": "nowhere"}, r"nowhere holds no continuous targets .*asvr targets features"),
    "no such layer": ({f"{TERM}.layer": "9"}, r"layer is 9, but the language model has 3 hidden states: choose -1"),
    "trained tower": (
        {"stages.pretrain.trainable": "vlm.model.vision_tower.,supervision."},
        r"trains the vision tower whose features are the targets of semantic",
    ),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_cannot_be_trained_is_refused_before_training(kind: str, parts: Path, tmp_path: Path) -> None:
    changes, said = REFUSED[kind]
    with pytest.raises((ValueError, OSError), match=said):
        train("ross-siglip-next-vicuna-7b", parts, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_features_of_another_tower_or_grid_are_refused(parts: Path, tmp_path: Path) -> None:
    for folder, tower in (("other", {"seed": 9}), ("larger", {"image_size": 36})):
        write_targets(tmp_path / folder, write_tower(tmp_path / f"{folder}-tower", **tower))
    name = "ross-siglip-next-vicuna-7b"
    with pytest.raises(
        ValueError, match=r"another vision tower than the model's.*asvr targets features.*own_tower=false"
    ):
        train(name, parts, tmp_path / "run", **set_target("semantic", "folder", str(tmp_path / "other")))
    changes = set_target("semantic", "folder", str(tmp_path / "larger")) | set_target("semantic", "own_tower", "false")
    with pytest.raises(ValueError, match=r"larger has the grid \(3, 3\), .* \(2, 2\) visual tokens.*resample=true"):
        train(name, parts, tmp_path / "run", **changes)
    train(name, parts, tmp_path / "run", **changes, **set_target("semantic", "resample", "true"))
