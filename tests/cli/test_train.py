import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cli.command import GPT, HUMAN, Command, truncate, turns
from tests.parts import talk


def test_the_command_that_the_others_spoil_works(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    assert asvr(command.argv()) == (0, "")
    assert (command.out / "instruct" / "model" / "model.safetensors").is_file()
    # The same folder, another recipe.
    command.changes["alignment"] = "same"
    before = {path: path.stat().st_mtime_ns for path in command.out.rglob("*")}
    code, said = asvr(command.argv())
    assert code == 1 and "holds another run: its recipe differ (fields alignment)" in said and "--out" in said
    assert {path: path.stat().st_mtime_ns for path in command.out.rglob("*")} == before


def test_a_tokenizer_that_nothing_uses_is_refused(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    code, said = asvr(Command(parts, tmp_path, "tiny-llava").argv())
    assert code == 1 and "'tiny-llava' has no visual loss" in said and "leave it out" in said


def test_broken_records_can_be_left_out_and_are_counted(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    truncate(command)
    turns(command, (HUMAN, "<image> [/INST] Which?"), (GPT, "red"))
    turns(command, (HUMAN, "<image> Which?"), (GPT, ""), index=1)
    command.more.append("--skip-bad")
    code, said = asvr(command.argv())
    # c7 and q7 show the truncated picture, q0 holds a special token, q1 has no answer.
    assert code == 0 and "left out 4 record(s)" in said
    reasons = (command.out / "skipped.txt").read_text().splitlines()
    assert len(reasons) == 4
    assert all(any(name in reason for reason in reasons) for name in ("'c7'", "7.png", "'q0'", "'q1'"))
    facts = json.loads((command.out / "instruct" / "stage.json").read_text())
    assert facts["tokens"]["samples"] == 10 - 3


def test_nothing_left_is_an_error_even_when_skipping(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    (command.records / "instruct.json").write_text(json.dumps([talk("a", "Which [/INST]?", "red")]))
    command.more.append("--skip-bad")
    code, said = asvr(command.argv())
    assert code == 1 and "'instruct': no record can be used" in said and "without --skip-bad" in said


def test_images_need_not_be_opened_first(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path)
    truncate(command)
    command.more.append("--no-check-images")
    code, said = asvr(command.argv())
    # It stops in the middle of the first stage, as it was told to.
    assert code == 1 and "7.png: record 'c7'" in said and (command.out / "pretrain").exists()


def test_recipes_are_compared_with_a_recipe(asvr: Callable) -> None:
    code, said = asvr(["recipes", "--diff", "tiny-asvr"])
    assert code == 1 and "name the recipe to compare it with too" in said
    code, said = asvr(["recipes", "tiny"])
    assert code == 1 and "there is no recipe 'tiny'" in said


def test_the_command_line_starts_without_the_libraries_that_take_seconds() -> None:
    heavy = "import sys, asvr.cli; print({'torch', 'transformers', 'matplotlib'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
