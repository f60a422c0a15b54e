import json
from pathlib import Path

import pytest

from asvr.cli.compare import compare
from asvr.cli.evaluate import evaluate
from asvr.evaluation.answer_file import Header, append_answers, write_header
from tests.evaluation.arms import make_arm


def test_evaluating_writes_beside_the_model_and_shows_the_scores(
    model_folder: Path, data: Path, image_folder: Path, capsys: pytest.CaptureFixture[str]
):
    evaluate(model_folder, data=data, images=image_folder, max_new_tokens=3, device="cpu")
    assert (model_folder.parent / "evaluation" / "records" / "scores.json").is_file()
    assert "average of kinds" in capsys.readouterr().out


def test_comparing_says_the_verdict_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folders = []
    for name, num_right in (("base", 20), ("asvr", 70)):
        arm = make_arm(name, [[index < num_right for index in range(100)]] * 2)
        folders.append(tmp_path / name)
        for seed, answers in arm.runs.items():
            out = folders[-1] / seed / "evaluation" / "nlvr"
            write_header(out, Header("m", "m", "hash", "d", 16, None, 100, {}))
            append_answers(out, answers)
    compare(folders, on="nlvr", resamples=200, out=tmp_path / "comparison.json")
    content = json.loads((tmp_path / "comparison.json").read_text())
    verdict = content["comparisons"][0]["average"]["verdict"]
    assert verdict.startswith("asvr is better than base by 50.0 points")
    assert verdict in capsys.readouterr().out
    assert content["about"]["seeds"] == ["seed-0", "seed-1"]
    with pytest.raises(ValueError, match="takes two or more"):
        compare(folders[:1], on="nlvr")
