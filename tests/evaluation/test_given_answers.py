import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asvr.cli.evaluate import evaluate
from asvr.evaluation.answer_file import HEADER, read_answers, read_header
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.given_answers import find_given, find_results, score_given
from asvr.evaluation.tables import read_benchmark
from tests.evaluation.sample_sets import write_sample_set
from tests.evaluation.test_benchmark_score import write

Run = Callable[[list[str]], tuple[int, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_sample_set("pope", tmp_path / "data" / "pope", form="jsonl")
    return tmp_path / "data"


@pytest.fixture
def given(data: Path, tmp_path: Path) -> Path:
    """Right answers to all questions, but for the first."""
    asked = read_benchmark(BENCHMARKS["pope"], protocol="paper", folder=data / "pope")
    said = {question.id: question.reference for question in asked.questions}
    said[asked.questions[0].id] = "neither \u2028 nor"
    path = tmp_path / "model" / "pope.jsonl"
    path.parent.mkdir()
    lines = [json.dumps({"id": name, "answer": text}, ensure_ascii=False) for name, text in said.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_answers_written_elsewhere_are_joined_by_their_ids_and_kept_as_ours(
    given: Path, data: Path, capsys: pytest.CaptureFixture[str]
):
    evaluate(answers=given, data_root=data)
    folder = given.parent / "evaluation" / "pope"
    content = json.loads((folder / "scores.json").read_text())
    number = content["num_questions"]
    assert content["metrics"]["accuracy"] == pytest.approx(100 * (number - 1) / number)
    assert "preset paper" in capsys.readouterr().out
    header, answers = read_header(folder), read_answers(folder)
    assert (header.model, header.num_questions) == (str(given), len(answers))
    assert all(answer.item and answer.images for answer in answers)
    # A folder of such files, again.
    evaluate(answers=given.parent, data_root=data)
    assert read_answers(folder) == answers


def test_kept_answers_are_scored_without_data(tmp_path: Path, asvr: Run):
    write(tmp_path / "results" / "pope")
    assert asvr(["evaluate", "--answers", str(tmp_path / "results")]) == (0, "")
    assert json.loads((tmp_path / "results" / "pope" / "scores.json").read_text())["num_questions"] == 6
    for options, message in (
        (["--preset", "lmms-eval"], "was asked by the preset 'paper'"),
        (["--benchmarks", "gqa"], "gqa/answers.meta.json: no such file"),
        (["--limit", "3"], "is scored as it is"),
        (["--device", "cpu"], "--device is not used with --answers"),
    ):
        code, error = asvr(["evaluate", "--answers", str(tmp_path / "results"), *options])
        assert code == 1 and message in error


def lose(lines: list[str]) -> list[str]:
    return lines[4:]


def repeat(lines: list[str]) -> list[str]:
    return [*lines, lines[1]]


def invent(lines: list[str]) -> list[str]:
    return [*lines, '{"id": 7, "answer": "yes"}']


def break_off(lines: list[str]) -> list[str]:
    return [*lines, '{"id": "7", "ans']


def say_nothing(lines: list[str]) -> list[str]:
    return [*lines, '{"id": "7", "answer": null}']


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose, r"4 are not answered \('adversarial/.*', \.\.\.\)\. An id looks like 'adversarial/"),
        (repeat, r"1 are answered twice \('"),
        (invent, r"1 are unknown \('7'\)"),
        (break_off, r"line 13 is not JSON"),
        (say_nothing, r'line 13 must be an object with an "id" and a text "answer"'),
    ],
)
def test_nothing_is_dropped_silently(
    spoil: Callable[[list[str]], list[str]], message: str, given: Path, data: Path, tmp_path: Path
):
    given.write_text("\n".join(spoil(given.read_text(encoding="utf-8").split("\n")[:-1])) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        score_given({"pope": given}, preset="paper", data_root=data, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_answers_without_a_benchmark_are_refused(given: Path, tmp_path: Path, asvr: Run):
    with pytest.raises(FileNotFoundError, match="no answers here"):
        find_given(tmp_path / "nothing")
    other = shutil.copy(given, tmp_path / "gqaa.jsonl")
    with pytest.raises(ValueError, match="must be called like the benchmark"):
        find_given(Path(other))
    code, error = asvr(["evaluate", "--answers", str(given), "--benchmarks", "pope,gqa"])
    assert code == 1 and "no gqa.jsonl" in error


def test_results_are_found_in_the_paper_s_order(tmp_path: Path):
    for name in ("pope", "textvqa"):
        (tmp_path / name).mkdir()
        (tmp_path / name / HEADER).write_text("{}")
    assert find_results(tmp_path) == ["textvqa", "pope"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "Which model?"),
        (["nobody/nothing", "--benchmarks", "pope"], "nobody/nothing: no folder of this name"),
        (["m", "--benchmarks", "vqa"], "no benchmark 'vqa'"),
        (["m", "--benchmarks", "pope", "--max-new-tokens", "3"], "--max-new-tokens belongs to --data"),
        (["m", "--data", "r.json", "--preset", "paper"], "--preset belongs to benchmarks"),
    ],
)
def test_options_that_do_not_go_together_are_refused(argv: list[str], message: str, asvr: Run):
    code, error = asvr(["evaluate", *argv])
    assert code == 1 and message in error
