"""All fourteen benchmarks from data to scores, with a tiny model: cut off, killed, resumed, by one process or two."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import PartialState

from asvr.evaluation.answer_file import ANSWERS, HEADER, Answer, read_answers, read_complete, read_header
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.suite import Settings, answer_benchmarks
from asvr.evaluation.suite_arms import load_suite
from asvr.evaluation.suite_compare import compare_suite
from asvr.evaluation.suite_task import hash_prompts
from asvr.evaluation.tables import read_benchmark
from tests.evaluation.sample_sets import write_sample_set
from tests.two_processes import launch_on_two

ALONE = PartialState(cpu=True)
TWO = ("mmvp", "pope")
"""In the order of the paper's columns."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    forms = dict(zip(BENCHMARKS, ("parquet", "jsonl", "tsv") * 5, strict=False))
    for name in BENCHMARKS:
        write_sample_set(name, folder / name, form=forms[name])
    return folder


@pytest.fixture(scope="module")
def model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, to which every fourth token is the end of an answer, so that a random one ends soon."""
    folder = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("quick") / "model"))
    path = folder / "generation_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "eos_token_id": [content["eos_token_id"], *range(3, 380, 4)]}))
    return folder


@pytest.fixture(scope="module")
def settings(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    out = tmp_path_factory.mktemp("out")
    return Settings(str(model), tuple(BENCHMARKS), "paper", data_root=data, out=out, batch_size=6)


@pytest.fixture(scope="module")
def whole(settings: Settings) -> Path:
    """Answers to all fourteen, of a run that nothing interrupted."""
    answer_benchmarks(settings, ALONE)
    return settings.out


@pytest.fixture
def two(settings: Settings, tmp_path: Path) -> Settings:
    """Two of them, to be answered anew."""
    return replace(settings, benchmarks=TWO, out=tmp_path / "out")


def answers_of(out: Path, name: str) -> dict[str, Answer]:
    return {answer.id: answer for answer in read_answers(out / name)}


def test_every_question_of_all_fourteen_is_answered_and_scored(whole: Path, data: Path):
    for name, benchmark in BENCHMARKS.items():
        asked = read_benchmark(benchmark, protocol="paper", folder=data / name)
        header, answers = read_complete(whole / name)
        assert {answer.id for answer in answers} == {question.id for question in asked.questions}
        scores = json.loads((whole / name / "scores.json").read_text())
        protocol = benchmark.protocols["paper"]
        assert scores["metrics"].keys() == protocol.metrics.keys()
        assert (scores["num_questions"], scores["left_out"]) == (len(asked.questions), asked.left_out)
        assert (header.benchmark, header.protocol, header.batch_size) == (name, "paper", 6)
        assert header.max_new_tokens == protocol.max_new_tokens
        assert set(header.versions) == {"asvr", "torch", "transformers", "accelerate", "datasets", "pillow"}
        assert header.prompt_hash == hash_prompts(benchmark, "paper", asked.questions)
        assert (header.dtype, header.device, header.num_processes) == ("float32", "cpu", 1)
    texts = {answer.answer for name in BENCHMARKS for answer in read_answers(whole / name)}
    assert len(texts) > 20, "the model says the same to everything, so these tests show little"


def test_runs_cut_off_inside_a_line_end_with_the_same_answers(whole: Path, settings: Settings, tmp_path: Path):
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    for number, name in enumerate(BENCHMARKS):
        path = out / name / ANSWERS
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * number // len(BENCHMARKS)])
        (out / name / "scores.json").unlink()
    answer_benchmarks(replace(settings, out=out), ALONE)
    for name in BENCHMARKS:
        for file in (ANSWERS, HEADER, "scores.json"):
            assert (out / name / file).read_bytes() == (whole / name / file).read_bytes()


def test_a_model_beside_itself_is_not_distinguishable(whole: Path, tmp_path: Path):
    again = Path(shutil.copytree(whole, tmp_path / "again"))
    (comparison,) = compare_suite(load_suite([whole, again]), resamples=200).comparisons
    assert list(comparison.categories) == list(BENCHMARKS)
    for each in (comparison.average, *comparison.categories.values()):
        assert (each.difference, each.p) == (0, 1)
        assert "not distinguishable" in each.verdict


def test_answers_do_not_depend_on_the_batch(whole: Path, two: Settings):
    answer_benchmarks(replace(two, batch_size=1, limit=5), ALONE)
    for name in TWO:
        alone = answers_of(two.out, name)
        assert len(alone) == 5 and alone.items() <= answers_of(whole, name).items()


def test_two_processes_of_which_one_is_killed_are_completed_by_one(whole: Path, two: Settings):
    done = launch_on_two("tests.evaluation.killed_suite", Path(two.model), two.data_root, two.out)
    assert done.returncode != 0
    # The first benchmark was complete; of the second the killed process had written one batch of two.
    first, second = (two.out / name for name in TWO)
    assert len(read_complete(first)[1]) == 8
    assert (first / "scores.json").is_file() and not (second / "scores.json").is_file()
    assert read_header(second).num_processes == 2
    assert len((second / "answers-1.jsonl").read_text().splitlines()) == 2
    answer_benchmarks(replace(two, batch_size=2), ALONE)
    for name in TWO:
        assert answers_of(two.out, name) == answers_of(whole, name)
        assert scores_of(two.out, name) == scores_of(whole, name)


def scores_of(out: Path, name: str) -> dict[str, object]:
    content = json.loads((out / name / "scores.json").read_text())
    return {key: value for key, value in content.items() if key != "provenance"}


def test_what_is_complete_needs_no_data(whole: Path, settings: Settings, tmp_path: Path):
    before = {name: (whole / name / ANSWERS).stat().st_mtime_ns for name in BENCHMARKS}
    scores = answer_benchmarks(replace(settings, data_root=tmp_path), ALONE)
    assert [each.benchmark for each in scores] == list(BENCHMARKS)
    assert before == {name: (whole / name / ANSWERS).stat().st_mtime_ns for name in BENCHMARKS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 2}, "pope: holds answers that came about otherwise: limit was None and is 2"),
        ({"dtype": "bfloat16"}, "dtype was 'float32' and is 'bfloat16'"),
        ({"preset": "lmms-eval"}, "protocol was 'paper' and is 'lmms-eval'"),
    ],
)
def test_answers_that_came_about_otherwise_are_not_mixed(
    change: dict[str, object], message: str, whole: Path, settings: Settings
):
    with pytest.raises(ValueError, match=message):
        answer_benchmarks(replace(settings, benchmarks=("pope",), **change), ALONE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"benchmarks": ("vqa",)}, "no benchmark 'vqa'. Choose of textvqa, "),
        ({"preset": "ours"}, "no preset 'ours'. Choose of paper, lmms-eval, vlmevalkit"),
        ({"dtype": "int4"}, "no dtype 'int4'. Choose of float32, "),
        ({"batch_size": 0}, "batch size is 0"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(change: dict[str, object], message: str, settings: Settings):
    with pytest.raises(ValueError, match=message):
        replace(settings, **change)


def spoil_data(folder: Path) -> None:
    shutil.rmtree(folder / "pope")


def spoil_picture(folder: Path) -> None:
    picture = min((folder / "pope").rglob("*.png"))
    picture.write_bytes(b"no picture")


@pytest.mark.parametrize(("spoil", "error"), [(spoil_data, FileNotFoundError), (spoil_picture, ValueError)])
def test_nothing_is_answered_before_all_data_are_read(
    spoil: Callable[[Path], None], error: type[Exception], two: Settings, tmp_path: Path
):
    data = tmp_path / "data"
    for name in TWO:
        write_sample_set(name, data / name, form="jsonl")
    spoil(data)
    with pytest.raises(error, match="pope"):
        answer_benchmarks(replace(two, data_root=data), ALONE)
    assert not two.out.exists()


def test_special_tokens_in_the_data_are_told(two: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = write_sample_set("pope", tmp_path / "data" / "pope", form="jsonl")
    (table,) = folder.glob("*.jsonl")
    first, *others = table.read_text().splitlines()
    record = json.loads(first)
    table.write_text("\n".join([json.dumps({**record, "question": "Is it </s>?"}), *others]) + "\n")
    answer_benchmarks(replace(two, benchmarks=("pope",), data_root=tmp_path / "data", limit=1), ALONE)
    assert "pope: 1 question(s) hold a special token of this tokenizer as text" in caplog.text
    (answer,) = answers_of(two.out, "pope").values()
    assert "Is it </s>?" in answer.question
