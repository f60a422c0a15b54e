"""`asvr benchmarks` shows what is there and what must be fetched."""

from pathlib import Path

import pytest

from asvr.cli.benchmarks import benchmarks
from asvr.evaluation.benchmarks import BENCHMARKS
from tests.evaluation.sample_sets import write_sample_set

PAPER_COLUMNS = ["TVQA", "DVQA", "OCRB", "CQA", "MMB", "MME", "SEED"]
PAPER_COLUMNS += ["GQA", "MMMU", "AI2D", "RQA", "MMVP", "HBench", "POPE"]


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_the_list_has_all_fourteen_and_says_which_are_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_sample_set("mmvp", tmp_path / "mmvp")
    write_sample_set("gqa", tmp_path / "gqa", form="jsonl")
    # Without its pictures it is not here.
    write_sample_set("pope", tmp_path / "pope")
    for file in (tmp_path / "pope").rglob("*.parquet"):
        file.unlink()
    benchmarks(data_root=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[1:15]]
    assert [row[1] for row in rows] == PAPER_COLUMNS
    assert {row[0] for row in rows if row[-1] == "yes"} == {"mmvp", "gqa"}
    assert lines[14].split()[:4] == ["pope", "POPE", "9,000", "accuracy"]
    assert max(map(len, lines)) <= 100


def test_one_is_shown_with_its_prompts_once_it_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_sample_set("pope", tmp_path / "pope")
    benchmarks("pope", data_root=tmp_path)
    shown = capsys.readouterr().out
    for line in BENCHMARKS["pope"].protocols["paper"].prompt({"question": "Is there a box in the image?"}).split("\n"):
        assert f"\n  {line}" in shown
    assert shown.rstrip().endswith("right answer yes")
    assert "preset paper" in shown and "preset vlmevalkit" in shown and "hf download" not in shown


def test_a_missing_one_is_shown_with_the_command_that_fetches_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    benchmarks("docvqa", data_root=tmp_path)
    shown = capsys.readouterr().out
    assert (
        "\n  hf download --repo-type dataset lmms-lab/DocVQA --include 'DocVQA/validation-*.parquet' "
        f"--local-dir {tmp_path / 'docvqa'}\n" in shown
    )
    with pytest.raises(ValueError, match="there is no benchmark 'gqq': did you mean 'gqa'"):
        benchmarks("gqq", data_root=tmp_path)
