import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from asvr.data.dataset import Source
from asvr.studies.plan import Arm, Study, change
from asvr.studies.reconstruction import read_codes
from asvr.studies.run import run_study
from asvr.targets.tokenizer import VisualTokenizer
from tests.parts import shrink


def plan(parts: Path) -> Study:
    records = parts / "records"
    source = {name: Source(records / f"{name}.json", records / "images") for name in ("captions", "instruct", "eval")}
    text_only = shrink("tiny-llava", parts)
    arms = (
        Arm(name="text-only", recipe=text_only, note=""),
        Arm(name="asvr", recipe=shrink("tiny-asvr", parts), note=""),
        Arm(name="longer", recipe=text_only, note="", equal_time_with="asvr"),
    )
    data = {"pretrain": (source["captions"],), "instruct": (source["instruct"],)}
    return Study(title="a study", arms=arms, seeds=(0,), data=data, evaluation=source["eval"])


def first_line(run: Path) -> dict:
    return json.loads((run / "pretrain" / "metrics.jsonl").read_text().splitlines()[0])


def test_a_study_compares_its_arms_and_is_resumed_where_it_stopped(parts: Path, tmp_path: Path) -> None:
    study = plan(parts)
    comparisons = run_study(study, tmp_path, jobs=2)
    assert [each.arm for each in comparisons] == ["asvr", "longer"]
    runs = {arm.name: tmp_path / arm.name / "seed-0" for arm in study.arms}
    # Arms share weights and data order, so before the first update their text losses are the same number.
    assert first_line(runs["asvr"])["loss_text"] == first_line(runs["text-only"])["loss_text"]
    equal_time = json.loads((tmp_path / "equal_time.json").read_text())["comparisons"]
    assert [(each["baseline"], each["arm"]) for each in equal_time] == [("longer", "asvr")]
    epochs = json.loads((tmp_path / "longer" / "epochs.json").read_text())["epochs"]
    assert epochs >= study.arms[0].recipe.stages[1].optimisation.epochs
    figures = json.loads((runs["asvr"] / "reconstruction.json").read_text())
    assert list(figures["accuracy"]) == ["untrained", "pretrain", "instruct"]

    (runs["asvr"] / "done.json").unlink()
    kept = {name: (run / "instruct" / "stage.json").stat().st_mtime_ns for name, run in runs.items()}
    again = run_study(study, tmp_path, jobs=1)
    assert [each.average.difference for each in again] == [each.average.difference for each in comparisons]
    assert kept == {name: (run / "instruct" / "stage.json").stat().st_mtime_ns for name, run in runs.items()}

    other = replace(study.arms[0], recipe=change(study.arms[0].recipe, {"alignment": "same"}))
    with pytest.raises(ValueError, match="holds a run of another recipe: choose another --out"):
        run_study(replace(study, arms=(other, *study.arms[1:])), tmp_path, jobs=1)


def test_a_failing_run_is_named_with_its_log(parts: Path, tmp_path: Path) -> None:
    study = plan(parts)
    broken = change(study.arms[1].recipe, {"stages.pretrain.supervision.semantic.target.tokenizer": "nowhere"})
    study = replace(study, arms=(study.arms[0], replace(study.arms[1], recipe=broken)))
    with pytest.raises(ValueError, match=r"asvr, seed 0: nowhere holds no visual tokenizer.*log\.txt"):
        run_study(study, tmp_path, jobs=1)


@pytest.mark.parametrize("name", ["tiny-asvr", "tiny-asvr-linear"])
def test_reconstruction_is_measured_against_the_tokenizer_s_own_codes(name: str, parts: Path) -> None:
    pictures = sorted((parts / "records" / "images").glob("*.png"))[:3]
    codes, guessed, _ = read_codes(shrink(name, parts), None, pictures, seed=0)
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    prepared = torch.stack([tokenizer.prepare(Image.open(path).convert("RGB")) for path in pictures])
    assert torch.equal(codes, tokenizer.encode(prepared))
    assert guessed.shape == codes.shape


def test_arms_that_cannot_be_matched_are_refused(parts: Path) -> None:
    study = plan(parts)
    with pytest.raises(ValueError, match="to train as long as 'none': choose one of text-only, asvr"):
        replace(study, arms=(*study.arms[:2], replace(study.arms[2], equal_time_with="none")))
    with pytest.raises(ValueError, match="names of their own"):
        replace(study, arms=(study.arms[0], study.arms[0]))
