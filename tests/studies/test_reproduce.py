"""A table from nothing to its verdicts, on very few pictures."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asvr.studies.reproduce import arms_of, reproduce
from asvr.studies.stand_in_data import Scale

SMALL = Scale(train=16, more=18, unlabelled=24, test=4, tower_steps=1, autoencoder_steps=1, depth=3, num_codes=16)


def test_a_table_is_trained_compared_and_continued(tmp_path: Path) -> None:
    names = arms_of([8], only=["asvr-tuning-only-vicuna-7b", "asvr-vicuna-7b"])
    assert names == ["llava-vicuna-7b", "asvr-tuning-only-vicuna-7b", "asvr-vicuna-7b"]
    (path,) = reproduce([8], tmp_path, seeds=1, jobs=1, arms=names, scale=SMALL)
    content = json.loads(path.with_suffix(".json").read_text())
    baseline, tuning, asvr = content["rows"]
    assert [row["label"] for row in content["rows"]] == ["LLaVA", "tuning only", "ASVR"]
    assert (baseline["paper"], asvr["paper"], asvr["paper_difference"]) == (None, 49.8, 3.0)
    assert asvr["comparison"]["difference"] == pytest.approx(asvr["score"] - baseline["score"])
    # The small depth head over three codebooks of 16 codes; the text-only arm has none.
    assert baseline["head_parameters"] == 0 < tuning["head_parameters"] == asvr["head_parameters"]
    assert baseline["step_flops"] < asvr["step_flops"] == tuning["step_flops"]
    (claim,) = content["claims"]
    assert claim["arm"] == "ASVR" and claim["baseline"] == "tuning only" and claim["paper_difference"] == 4.1
    assert "One seed each" in path.read_text()
    # Before the first update the arms share weights and data, so their text losses are the same number.
    first = [
        json.loads((tmp_path / "arms" / name / "seed-0" / "pretrain" / "metrics.jsonl").read_text().splitlines()[0])
        for name in names
    ]
    assert first[0]["loss_text"] == first[1]["loss_text"]

    done = tmp_path / "arms" / "asvr-vicuna-7b" / "seed-0" / "done.json"
    written = done.stat().st_mtime_ns
    reproduce([1], tmp_path, seeds=1, jobs=1, arms=["llava-vicuna-7b", "asvr-vicuna-7b"], scale=SMALL)
    assert done.stat().st_mtime_ns == written
    assert [row["label"] for row in json.loads((tmp_path / "table-1.json").read_text())["rows"]] == ["LLaVA", "ASVR"]

    with pytest.raises(ValueError, match="holds stand-ins of another scale"):
        reproduce([8], tmp_path, seeds=1, jobs=1, arms=names, scale=replace(SMALL, train=17))


def test_rows_are_chosen_with_their_baselines() -> None:
    assert arms_of([9], only=["asvr-siglip2-next-vicuna-7b"]) == [
        "llava-siglip2-next-vicuna-7b",
        "asvr-siglip2-next-vicuna-7b",
    ]
    assert arms_of([9], without=["llava-siglip2-next-vicuna-7b"]) == ["llava-next-vicuna-7b", "asvr-next-vicuna-7b"]
    with pytest.raises(ValueError, match="asvr-vicuna-13b: no such row"):
        arms_of([9], only=["asvr-vicuna-13b"])
    with pytest.raises(ValueError, match="every row is left out"):
        arms_of([3], without=["llava-s2-next-vicuna-7b", "llava-anyres-next-vicuna-7b"])


Cli = Callable[[list[str]], tuple[int, str]]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["reproduce", "5"], "there is no table '5' to reproduce: choose one of 1, 2, 3, 4, 8, 9, 10, or all"),
        (
            ["reproduce", "9", "--tiny", "--arms", "asvr-vicuna-13b"],
            "asvr-vicuna-13b: no such row; the rows are llava-",
        ),
        (["train", "tiny-asvr", "--tiny"], "recipe 'tiny-asvr' is at laptop size already: leave out --tiny"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_in_a_line(asvr: Cli, argv: list[str], message: str) -> None:
    code, error = asvr(argv)
    assert code == 1 and message in error


def test_without_tiny_the_real_launch_lines_are_shown_and_nothing_is_trained(
    asvr: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _ = asvr(["reproduce", "9"])
    assert code == 0 and not list(tmp_path.iterdir())
