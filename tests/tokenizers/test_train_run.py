import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizer_training.recipes import TOKENIZER_RECIPES
from asvr.tokenizer_training.run import DONE
from tests.tokenizers.trained import (
    SHORT,
    Interrupted,
    everything,
    metrics,
    pictures,
    stop_at,
    tensors,
    train,
    write_pictures,
    write_siglip,
)
from tests.two_processes import run_on_two

ROOT = Path(__file__).parents[2]
TERMS = {
    "semantic": {"feature", "pooled", "contrastive", "commitment", "perplexity"},
    "appearance": {
        *("pixel", "perceptual", "commitment", "perplexity"),
        *("generator", "discriminator", "adaptive_weight"),
    },
}


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    return write_siglip(tmp_path_factory.mktemp("siglip"), tokenizer)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def whole(siglip: Path, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every loss, in one go."""
    out = tmp_path_factory.mktemp("whole") / "out"
    train(everything(siglip), records, out)
    return out


def test_every_loss_is_logged_at_every_step(whole: Path) -> None:
    lines = metrics(whole)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    expected = {f"{branch}_{name}" for branch, names in TERMS.items() for name in names}
    assert lines[-1].keys() - {"step", "seconds", "learning_rate", "loss"} == expected
    # The discriminator begins at step 2, counted from zero, and its weight is first measured then.
    assert "appearance_generator" not in lines[1] and lines[2]["appearance_adaptive_weight"] == 0
    assert 0.3 <= lines[3]["appearance_adaptive_weight"] <= 10


def test_the_loss_is_the_weighted_sum_of_its_terms(whole: Path) -> None:
    line = metrics(whole)[-1]
    weights = {
        **{"semantic_feature": 5, "semantic_pooled": 1, "semantic_contrastive": 1, "semantic_commitment": 5},
        **{"appearance_pixel": 5, "appearance_perceptual": 1, "appearance_commitment": 5},
        "appearance_generator": 0.75 * line["appearance_adaptive_weight"],
    }
    assert line["loss"] == pytest.approx(sum(line[name] * weight for name, weight in weights.items()), rel=1e-5)


def test_a_resumed_run_ends_as_an_uninterrupted_one(siglip: Path, records: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(everything(siglip), records, tmp_path / "out", on_progress=stop_at(5))
    assert not (tmp_path / "out" / DONE).exists()
    train(everything(siglip), records, tmp_path / "out")
    ours, theirs = tensors(tmp_path / "out"), tensors(whole)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    lines = [[{**line, "seconds": 0} for line in metrics(out)] for out in (tmp_path / "out", whole)]
    assert lines[0] == lines[1]
    assert not (whole / "state").exists()


def begun(siglip: Path, records: Path, out: Path, **layout: int) -> dict[str, torch.Tensor]:
    """The state after four steps, with the averages of all gradients."""
    with pytest.raises(Interrupted):
        train(everything(siglip, **SHORT), records, out, layout={"save_every": 4, **layout}, on_progress=stop_at(4))
    return load_file(out / "state" / "training.safetensors")


def same_but_for_rounding(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert sum("exp_avg" in name for name in one) > 200
    for name, expected in other.items():
        # A key's bias changes no attention: its gradient is rounding.
        tolerance = 1e-3 * expected.abs().max().item() + 1e-6
        torch.testing.assert_close(one[name], expected, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def test_a_step_of_four_parts_or_on_two_processes_is_a_step_of_one(siglip: Path, records: Path, tmp_path: Path) -> None:
    whole = begun(siglip, records, tmp_path / "whole")
    assert whole["appearance.adaptive.value"] > 0.3
    same_but_for_rounding(begun(siglip, records, tmp_path / "parts", micro_batch=2), whole)
    run_on_two("tests.tokenizers.training_process", siglip, records, tmp_path / "two")
    same_but_for_rounding(load_file(tmp_path / "two" / "state" / "training.safetensors"), whole)


def test_training_lowers_every_loss_and_the_saved_tokenizers_are_what_was_trained(
    siglip: Path, records: Path, tmp_path: Path
) -> None:
    steps = {"optimisation.steps": "20", "appearance.adversarial.weight": "0", "crop": "1"}
    facts = train(everything(siglip, **steps), records, tmp_path, layout={"save_every": 20})
    lines = metrics(tmp_path)
    for name in (
        "semantic_feature",
        "semantic_pooled",
        "semantic_contrastive",
        "appearance_pixel",
        "appearance_perceptual",
    ):
        first, last = (sum(line[name] for line in part) / 5 for part in (lines[:5], lines[-5:]))
        assert last < 0.9 * first, name
    shown = pictures(records)
    for name, branch in (("semantic", facts["held_out"]["semantic"]), ("appearance", facts["held_out"]["appearance"])):
        tokenizer = VisualTokenizer.from_pretrained(tmp_path / name)
        assert tokenizer.about["health"] == branch["health"] and branch["pictures"] == 2
        pixels = torch.stack([tokenizer.prepare(shown.open(index)) for index in range(4)])
        codes = tokenizer.encode(pixels)
        assert codes.shape == (4, 16, 2) and len(codes.unique()) > 2
        features = tokenizer.features(pixels)
        rebuilt = tokenizer.reconstruct(codes)
        if name == "semantic":
            assert rebuilt.shape == features.shape
        else:
            decoded = tokenizer.decode(codes)
            # What it logged as its loss, in the same units.
            assert (decoded - pixels).square().mean().item() < 2 * lines[-1]["appearance_pixel"]


def test_a_finished_run_is_left_alone_and_another_is_refused(siglip: Path, records: Path, whole: Path) -> None:
    before = (whole / DONE).read_text()
    assert train(everything(siglip), records, whole) == json.loads(before)
    other = everything(siglip, **{"semantic.pooled_weight": "2"})
    with pytest.raises(ValueError, match=r"\(recipe.semantic.pooled_weight is 1.0 there and 2.0 here\).*--out"):
        train(other, records, whole)


def test_a_begun_run_of_other_settings_is_refused(siglip: Path, records: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(everything(siglip), records, tmp_path, on_progress=stop_at(1))
    with pytest.raises(ValueError, match=r"recipe\.crop is 0\.8 there and 0\.7 here"):
        train(everything(siglip, crop="0.7"), records, tmp_path)


def test_divergence_stops_before_anything_is_saved(siglip: Path, records: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at step \d: training has diverged.*learning_rate"):
        train(everything(siglip, **{"optimisation.learning_rate": "1e20"}), records, tmp_path)
    assert not (tmp_path / "state" / "training.safetensors").exists() and not (tmp_path / "semantic").exists()


def test_half_precision_says_the_same_of_the_first_step(
    siglip: Path, records: Path, whole: Path, tmp_path: Path
) -> None:
    train(everything(siglip, precision="bf16", **{"optimisation.steps": "1"}), records, tmp_path)
    for name, value in metrics(tmp_path)[0].items():
        if name.endswith(("feature", "pooled", "pixel", "perceptual")):
            assert value == pytest.approx(metrics(whole)[0][name], rel=0.05), name


def test_broken_pictures_are_counted(siglip: Path, tmp_path: Path) -> None:
    records = write_pictures(tmp_path / "p")
    (tmp_path / "p" / "images" / "7.png").write_bytes(b"no picture")
    recipe = everything(siglip, **{"appearance": "none", "optimisation.steps": "4"})
    facts = train(recipe, records, tmp_path / "out", skip_bad=True)
    assert facts["left_out"] == 1 and "7.png" in (tmp_path / "out" / "quarantine.txt").read_text()
    assert not (tmp_path / "out" / "appearance").exists()


def test_the_command_trains_lists_and_refuses(
    siglip: Path, records: Path, tmp_path: Path, asvr: Callable[[list[str]], tuple[int, str]]
) -> None:
    recipe = ["tokenizer", "train", "tiny-tokenizer", "--data", str(records.parent / "images")]
    options = ["--out", str(tmp_path / "out"), "--tower", str(siglip), "--steps", "2", "--micro-batch", "4"]
    quantizer = [f"semantic.quantizer.{name}" for name in ("num_codes=8", "width=16")]
    changes = ["appearance=none", "optimisation.batch_size=4", *quantizer]
    command = [*recipe, *options, *(part for change in changes for part in ("--set", change))]
    assert asvr(command) == (0, "")
    assert VisualTokenizer.from_pretrained(tmp_path / "out" / "semantic").quantizer.num_codes == 8
    assert asvr(["tokenizer", "recipes"])[0] == asvr(["tokenizer", "recipes", "dualtoken"])[0] == 0
    code, said = asvr(["tokenizer", "train", "dualtokn", "--data", "x", "--out", "y"])
    assert code == 1 and "did you mean 'dualtoken'?" in said
    code, said = asvr([*command, "--set", "semantic.contrastive_weight=1", "--out", str(tmp_path / "new")])
    assert code == 1 and "has no caption, which the contrastive loss needs" in said
    assert "dualtoken" in TOKENIZER_RECIPES
