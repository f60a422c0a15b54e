from dataclasses import replace
from pathlib import Path

import pytest

from asvr.evaluation.answer_file import Header, append_answers, write_header
from asvr.evaluation.arms import Arm, check_comparable, load_arms
from tests.evaluation.arms import make_arm

HEADER = Header(
    model="m", model_hash="m", prompt_hash="hash", data="d", max_new_tokens=16, limit=None, num_questions=4, versions={}
)


def _save(arm: Arm, folder: Path) -> Path:
    for seed, answers in arm.runs.items():
        out = folder / seed / "evaluation" / "nlvr"
        write_header(out, replace(HEADER, prompt_hash=arm.prompt_hash))
        append_answers(out, answers)
    return folder


@pytest.fixture
def arm() -> Arm:
    return make_arm("base", [[True, False, True, True], [False] * 4])


def test_an_arm_is_read_as_it_was_written(arm: Arm, tmp_path: Path):
    other = make_arm("asvr", [[True] * 4, [True] * 4])
    folders = [_save(one, tmp_path / one.name) for one in (arm, other)]
    assert load_arms(folders, on="nlvr") == [arm, other]


def test_single_runs_are_compared_whatever_their_seed(arm: Arm, tmp_path: Path):
    base, other = (_save(arm, tmp_path / name) for name in ("base", "asvr"))
    arms = load_arms([base / "seed-0", other / "seed-1"], on="nlvr")
    assert [list(one.runs) for one in arms] == [["single"], ["single"]]
    assert [one.name for one in arms] == ["seed-0", "seed-1"]


def test_arms_of_one_name_are_called_by_their_path(arm: Arm, tmp_path: Path):
    folders = [_save(arm, tmp_path / parent / "asvr") for parent in ("one", "two")]
    assert [one.name for one in load_arms(folders, on="nlvr")] == [str(folder) for folder in folders]


def test_an_arm_given_twice_is_refused(arm: Arm, tmp_path: Path):
    folder = _save(arm, tmp_path / "base")
    with pytest.raises(ValueError, match="given twice"):
        load_arms([folder, folder], on="nlvr")


def test_answers_to_another_prompt_are_refused(arm: Arm, tmp_path: Path):
    folders = [_save(arm, tmp_path / "base"), _save(replace(arm, prompt_hash="another"), tmp_path / "asvr")]
    with pytest.raises(ValueError, match="prompt hashes are hash and another"):
        load_arms(folders, on="nlvr")


def test_seeds_of_one_arm_with_different_prompts_are_refused(arm: Arm, tmp_path: Path):
    folder = _save(arm, tmp_path / "base")
    write_header(folder / "seed-1" / "evaluation" / "nlvr", replace(HEADER, prompt_hash="another"))
    with pytest.raises(ValueError, match="seed-0 and seed-1 were not evaluated in the same way"):
        load_arms([folder], on="nlvr")


def test_missing_folders_and_evaluations_are_named(arm: Arm, tmp_path: Path):
    folder = _save(arm, tmp_path / "base")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_arms([folder, tmp_path / "nowhere"], on="nlvr")
    with pytest.raises(FileNotFoundError, match="coco"):
        load_arms([folder], on="coco")


def test_other_questions_are_refused_by_the_first_that_differs(arm: Arm):
    shorter = replace(arm, name="asvr", runs={seed: answers[:2] for seed, answers in arm.runs.items()})
    with pytest.raises(ValueError, match="2 differ, the first is 'q00002'"):
        check_comparable(arm, shorter)
    first, *others = arm.runs["seed-1"]
    changed = replace(arm, name="asvr", runs={**arm.runs, "seed-1": (replace(first, reference="left"), *others)})
    with pytest.raises(ValueError, match=r"asvr \(seed-1\) .* the first is 'q00000'"):
        check_comparable(arm, changed)


def test_other_seeds_are_refused(arm: Arm):
    fewer = replace(arm, name="asvr", runs={"seed-0": arm.runs["seed-0"]})
    with pytest.raises(ValueError, match="base has seed-0, seed-1, but asvr has seed-0"):
        check_comparable(arm, fewer)
