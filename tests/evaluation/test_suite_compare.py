import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asvr.cli.compare import compare
from asvr.evaluation.answer_file import read_answers
from asvr.evaluation.benchmark_score import score_benchmark
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.comparison import Comparison, Difference, put_in_words
from asvr.evaluation.suite_arms import load_suite
from asvr.evaluation.suite_compare import SuiteComparison, compare_suite
from tests.evaluation.suite_results import HEADER, write_results

SIZES = {"mme": 336, "mmvp": 60, "pope": 100}
Marks = dict[str, list[bool]]


def _marks(seed: int, skill: float = 0.6, sizes: Mapping[str, int] = SIZES) -> Marks:
    generator = np.random.default_rng(seed)
    return {name: (generator.random(size) < skill).tolist() for name, size in sizes.items()}


def _compare(*folders: Path) -> SuiteComparison:
    return compare_suite(load_suite(folders), resamples=500)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_results(tmp_path / "base", _marks(0))


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return write_results(tmp_path / "better", _marks(1, skill=0.9))


def test_equal_answers_are_not_distinguishable(base: Path, tmp_path: Path):
    result = _compare(base, write_results(tmp_path / "same", _marks(0))).comparisons[0]
    decided = [result.average, *result.categories.values(), *result.leave_one_out.values()]
    assert all(each.verdict.startswith("same and base are not distinguishable: +0.0 points [") for each in decided)
    for each in (*decided, *result.secondary.values()):
        assert (each.difference, each.question_interval, each.p) == (0, (0, 0), 1)
    assert "the same verdict whichever is left out." in result.robustness


def test_the_figures_are_those_of_scoring_each_benchmark(base: Path, better: Path):
    result = _compare(base, better).comparisons[0]
    found = {**result.secondary, **{f"{name} headline": each for name, each in result.categories.items()}}
    for name, others in {"mme": ("perception/20", "accuracy"), "mmvp": ("accuracy",), "pope": ("F1",)}.items():
        for folder, side in ((base, "baseline"), (better, "accuracy")):
            answers = read_answers(folder / name)
            scores = score_benchmark(BENCHMARKS[name], "paper", answers, left_out={})
            assert vars(found[f"{name} headline"])[side] == pytest.approx(scores.value)
            assert [vars(found[f"{name} {other}"])[side] for other in others] == pytest.approx(
                [scores.metrics[other] for other in others]
            )
        assert found[f"{name} headline"].num_questions == SIZES[name]
    # Two questions make a picture of POPE and of MME, and each of MME's fourteen categories has twelve pictures.
    assert {name: each.num_groups for name, each in result.categories.items()} == {"mme": 12, "mmvp": 30, "pope": 50}
    assert "mme total" not in result.secondary


def test_averages_weigh_benchmarks_the_same_and_leave_one_out_in_turn(base: Path, better: Path):
    result = _compare(base, better).comparisons[0]
    gains = {name: each.difference for name, each in result.categories.items()}
    assert result.average.difference == pytest.approx(sum(gains.values()) / 3)
    for name, without in result.leave_one_out.items():
        assert without.difference == pytest.approx((sum(gains.values()) - gains[name]) / 2)
        assert without.num_questions == sum(SIZES.values()) - SIZES[name]
    other_reading = gains | {"mme": result.secondary["mme perception/20"].difference}
    assert result.secondary["average, mme perception/20"].difference == pytest.approx(sum(other_reading.values()) / 3)
    assert result.average.verdict.startswith("better is better than base by")
    assert result.average.question_interval[0] > 0


def test_a_benchmark_is_drawn_alike_whatever_is_beside_it(base: Path, better: Path, tmp_path: Path):
    alone = [
        write_results(tmp_path / "alone" / name, {"pope": _marks(*given)["pope"]})
        for name, given in (("a", (0,)), ("b", (1, 0.9)))
    ]
    among, single = (_compare(*folders).comparisons[0].categories["pope"] for folders in ((base, better), alone))
    assert among.question_interval == single.question_interval


def test_holm_counts_arms_for_averages_and_arms_times_benchmarks(base: Path, tmp_path: Path):
    better = write_results(tmp_path / "better", _marks(1, skill=0.95))
    # A p-value of 2 / 501 is the smallest of 500 resamples: certain once, and twice, but not six times nor three times
    # as often as 0.05 / 0.004 allows.
    others = [write_results(tmp_path / f"equal {k}", _marks(0)) for k in range(4)]
    alone, beside = _compare(base, better).comparisons[0], _compare(base, better, *others).comparisons[0]
    assert alone.average.p == beside.average.p == pytest.approx(2 / 501)
    assert beside.average.adjusted_p == pytest.approx(5 * 2 / 501)
    assert beside.leave_one_out["pope"].adjusted_p == pytest.approx(5 * 2 / 501)
    assert alone.categories["pope"].adjusted_p == pytest.approx(3 * 2 / 501)
    assert beside.categories["pope"].adjusted_p == pytest.approx(15 * 2 / 501)
    assert beside.secondary["pope F1"].adjusted_p == beside.secondary["pope F1"].p


def test_runs_are_paired_by_seed_and_found_in_their_evaluation_folders(tmp_path: Path):
    for arm, skill in (("base", 0.6), ("better", 0.9)):
        for seed in range(3):
            place = tmp_path / arm / f"seed-{seed}"
            write_results(place, _marks(10 * seed + int(skill * 10), skill), evaluation="evaluation")
    result = _compare(tmp_path / "base", tmp_path / "better").comparisons[0]
    for each in (result.average, *result.categories.values(), *result.leave_one_out.values()):
        assert list(each.seed_differences) == ["seed-0", "seed-1", "seed-2"]
        assert each.difference == pytest.approx(np.mean(list(each.seed_differences.values())))
        assert each.seed_interval is not None and "One seed" not in each.verdict


def test_a_run_is_named_by_its_folder_also_through_its_results(tmp_path: Path):
    runs = [write_results(tmp_path / name, _marks(0), evaluation="evaluation") for name in ("base", "asvr")]
    assert list(load_suite([runs[0] / "evaluation", runs[1]]).folders) == ["base", "asvr"]


def test_what_only_some_have_is_named_not_dropped(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fewer = write_results(tmp_path / "fewer", _marks(1, sizes={"mme": 336, "pope": 100}))
    assert load_suite([base, fewer]).lacking == {"mmvp": ("fewer",)}
    compare([base, fewer], resamples=100)
    assert "Not compared: mmvp, which fewer lacks." in capsys.readouterr().out
    runs = tmp_path / "runs"
    for seed in range(2):
        write_results(runs / "a" / f"seed-{seed}", _marks(0))
        write_results(runs / "b" / f"seed-{seed}", _marks(1, sizes={"pope": 100, **({"mme": 336} if seed else {})}))
    assert load_suite([runs / "a", runs / "b"]).lacking == {"mme": ("b (seed-0)",), "mmvp": ("b",)}


def test_a_headline_that_the_questions_do_not_give_is_named_and_in_no_average(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    # Twelve questions are about six of MME's fourteen kinds.
    folders = [write_results(tmp_path / name, _marks(k, sizes={"mme": 12, "pope": 100})) for k, name in enumerate("ab")]
    result = _compare(*folders)
    assert result.unmeasured == ("mme total/28", "mme perception/20")
    assert list(result.comparisons[0].categories) == ["pope"] and not result.comparisons[0].leave_one_out
    compare(folders, resamples=100)
    assert "questions of a kind are missing: mme total/28, mme perception/20." in capsys.readouterr().out
    only = [write_results(tmp_path / "only" / name, _marks(k, sizes={"mme": 12})) for k, name in enumerate("ab")]
    with pytest.raises(ValueError, match="No headline can be measured: mme total/28"):
        _compare(*only)


CHANGES = {
    "preset": ({"protocol": "lmms-eval"}, "mme: .*'paper' and .*'lmms-eval'. Evaluate both under the same one"),
    "unknown preset": (
        {"protocol": "mine"},
        "not answers to the benchmark mme under a known preset, but to 'mme' under",
    ),
    "prompts": ({"prompt_hash": "other"}, "mme: .* their prompt hashes are hash and other"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_results_of_other_prompts_are_refused(change: dict[str, str], message: str, base: Path, tmp_path: Path):
    other = write_results(tmp_path / "other", _marks(1), header=replace(HEADER, **change))
    with pytest.raises(ValueError, match=message):
        load_suite([base, other])


def _drop_pope(folder: Path) -> None:
    (folder / "pope" / "answers.jsonl").write_text("")


def _ask_otherwise(folder: Path) -> None:
    path = folder / "pope" / "answers.jsonl"
    path.write_text(path.read_text().replace('"question": "?"', '"question": "!"', 1))


def _rename(folder: Path) -> None:
    (folder / "pope").rename(folder / "gqa")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop_pope, "0 of 100 questions are answered"),
        (
            _ask_otherwise,
            r"pope: other \(single\) and base did not answer the same questions: 1 differ, the first is 'q0'",
        ),
        (_rename, "gqa: not answers to the benchmark gqa under a known preset, but to 'pope'"),
    ],
)
def test_spoiled_results_are_refused(spoil: Callable[[Path], None], message: str, base: Path, tmp_path: Path):
    other = write_results(tmp_path / "other", _marks(1))
    spoil(other)
    if spoil is _rename:
        _rename(base)
    with pytest.raises(ValueError, match=message):
        _compare(base, other)


def test_folders_without_results_are_named(base: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no results of a benchmark, such as textvqa/answers.meta.json"):
        load_suite([base, tmp_path / "empty"])
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_suite([base, tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="given twice"):
        load_suite([base, base])
    pope = write_results(tmp_path / "pope", {"pope": [True] * 20})
    mmvp = write_results(tmp_path / "mmvp", {"mmvp": [True] * 20})
    with pytest.raises(ValueError, match=r"No benchmark is in all of the results: pope \(single\) has pope; mmvp"):
        load_suite([pope, mmvp])
    write_results(tmp_path / "seeds" / "seed-0", {"pope": [True] * 20})
    with pytest.raises(ValueError, match=r"pope has single, but seeds has seed-0\. Runs are compared in pairs"):
        load_suite([pope, tmp_path / "seeds"])


def test_the_order_of_the_answers_does_not_matter(base: Path, better: Path, tmp_path: Path):
    first = _compare(base, better)
    for name in SIZES:
        path = better / name / "answers.jsonl"
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert _compare(base, better) == first


def test_the_command_prints_and_writes_everything(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "100")
    header = replace(HEADER, chat_template_hash="mistral", limit=50)
    other = write_results(tmp_path / "other", _marks(1, skill=0.9), header=header)
    compare([base, other], resamples=200, out=tmp_path / "out.json")
    printed, content = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    (one,) = content["comparisons"]
    assert one["average"]["verdict"] in printed and one["robustness"] in printed
    assert "The arms have different chat templates: base vicuna; other mistral." in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if "[" in line and " is " not in line)
    assert set(one) == {
        *("baseline", "arm", "average", "overall", "categories", "leave_one_out", "secondary", "robustness")
    }
    assert one["overall"] is None and one["average"]["smallest_detectable"] > 0
    about = content["about"]
    assert (about["resamples"], about["seeds"], about["unmeasured"]) == (200, ["single"], [])
    assert about["runs"] == {"base": str(base), "other": str(other)}
    assert about["chat_templates"] == {"base": ["vicuna"], "other": ["mistral"]}
    mme = about["benchmarks"]["mme"]
    assert (mme["preset"], mme["prompt_hash"], mme["headline"]) == ("paper", "hash", "total/28")
    assert mme["headers"]["other"]["single"]["versions"] == {"asvr": "0"}


def test_a_limit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    header = replace(HEADER, limit=100)
    folders = [write_results(tmp_path / name, {"pope": [True] * 100}, header=header) for name in "ab"]
    compare(folders, resamples=100)
    assert "Only the first questions of pope (100): not the benchmark's own number." in capsys.readouterr().out


def _difference(value: float, p: float = 0.01) -> Difference:
    return Difference(50.0, 50.0 + value, value, (value - 1, value + 1), {"single": value}, None, None, p, p, 100, 50)


SAME, OTHER, TURNED = "; the same verdict whichever is left out.", "; another verdict without ", ", and the other sign "


@pytest.mark.parametrize(
    ("average", "without", "expected"),
    [
        (2.0, {"x": 1.5, "y": 2.5}, f"+1.5 without x to +2.5 without y{SAME}"),
        (2.0, {"x": 0.5, "y": 2.5}, f"+0.5 without x to +2.5 without y{OTHER}x."),
        (0.5, {"x": -0.5, "y": 1.5}, f"-0.5 without x to +1.5 without y{OTHER}y{TURNED}without x."),
        # What is shown as zero has no sign.
        (2.0, {"x": -0.02, "y": 2.0}, f"+0.0 without x to +2.0 without y{OTHER}x."),
    ],
)
def test_robustness_in_words(average: float, without: dict[str, float], expected: str):
    left_out = {name: _difference(value) for name, value in without.items()}
    comparison = Comparison("a", "b", _difference(average), None, {}, leave_one_out=left_out)
    assert put_in_words(comparison, level=0.05).robustness == f"One benchmark left out: {expected}"
