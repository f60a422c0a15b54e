import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from asvr.reports.page import terminal_table, write_report
from tests.reports.fake_study import ARMS, ON, make_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("study") / "demo", num_seeds=2, num_pictures=24)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "demo"))


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return write_report(finished).read_text()


def test_every_arm_and_every_verdict_is_on_the_page(page: str, finished: Path) -> None:
    comparisons = json.loads((finished / "comparison.json").read_text())["comparisons"]
    for name, _, note in ARMS:
        assert name in page and note in page
    assert len(comparisons) == len(ARMS) - 1
    for comparison in comparisons:
        assert comparison["average"]["verdict"] in page


def test_the_comparison_at_equal_time_stands_with_the_verdicts(study: Path) -> None:
    verdict = "asvr is worse than text-only-longer by 7.0 points [-12.4, -1.5]."
    matched = json.loads((study / "comparison.json").read_text())["comparisons"][0]
    matched["average"]["verdict"] = verdict
    (study / "equal_time.json").write_text(json.dumps({"comparisons": [matched]}))
    header = write_report(study).read_text().split("</header>")[0]
    assert f"At equal training time, {verdict}" in header
    screen = io.StringIO()
    Console(file=screen, width=200).print(terminal_table(study))
    assert f"At equal time, {verdict}" in screen.getvalue()


def test_page_loads_nothing_from_elsewhere(page: str) -> None:
    linked = re.findall(r'\b(?:src|href)="([^"]*)"', page)
    assert linked and all(link.startswith(("data:", "#")) for link in linked)
    assert "@import" not in page and "url(http" not in page and "<script" not in page


def test_ids_that_figures_refer_to_exist(page: str) -> None:
    ids = set(re.findall(r'\bid="([^"]*)"', page))
    used = re.findall(r'href="#([^"]*)"', page) + re.findall(r"url\(#([^)]*)\)", page)
    assert used and set(used) <= ids


def test_table_gives_the_mean_over_seeds_of_answers_counted_here(page: str, finished: Path) -> None:
    for name, _, _ in ARMS:
        shares = []
        for seed in (0, 1):
            path = finished / name / f"seed-{seed}" / "evaluation" / ON / "answers.jsonl"
            counted = [
                record for record in map(json.loads, path.read_text().splitlines()) if record["category"] == "count"
            ]
            # The fake answers are references, to the letter, or other words.
            right = sum(record["answer"] == record["reference"] for record in counted)
            shares.append(100 * right / len(counted))
        # Of two numbers a and b, the sample's standard deviation is |a - b| / sqrt(2).
        mean, deviation = sum(shares) / 2, abs(shares[0] - shares[1]) / 2**0.5
        assert f'{mean:.1f}<span class="sd"> ± {deviation:.1f}</span>' in _row(page, "count")


def test_table_gives_difference_and_intervals_as_compared(page: str, finished: Path) -> None:
    comparison = json.loads((finished / "comparison.json").read_text())["comparisons"][0]["average"]
    low, high = comparison["question_interval"]
    assert f"{comparison['difference']:+.1f}<" in _row(page, "difference to text-only")
    assert f"[{low:+.1f}, {high:+.1f}]" in _row(page, "95 % interval over questions")


def test_training_time_adds_up_the_stages(page: str) -> None:
    # Text-only: 40 steps, then 3 times as many, of 0.4 s each; with a visual loss, 0.6 s.
    assert re.findall(r"<td>(\d+)", _row(page, "training time, all stages"))[:2] == ["64", "96"]


def test_answers_are_shown_as_text(study: Path) -> None:
    path = study / "text-only" / "seed-0" / "evaluation" / ON / "answers.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["answer"] = "<script>alert('&')</script>"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    page = write_report(study).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;" in page


def test_image_markers_are_not_shown(page: str, finished: Path) -> None:
    path = finished / "text-only" / "seed-0" / "evaluation" / ON / "answers.jsonl"
    assert "<image>" in path.read_text()
    assert "<image>" not in page and "&lt;image&gt;" not in page


@pytest.mark.parametrize("name", ["probes.json", "tokenizer.json", "reconstruction.json"])
def test_missing_measurement_is_named(study: Path, name: str) -> None:
    for path in study.rglob(name):
        path.unlink()
    page = write_report(study).read_text()
    assert re.search(rf'class="absent">Not shown: .*{name}', page)
    assert page.count("Not shown") == 1


def test_one_seed_is_said_to_cover_no_training_noise(tmp_path: Path) -> None:
    page = write_report(make_study(tmp_path / "demo", num_seeds=1)).read_text()
    assert "One seed only" in page and "One seed each" in page
    assert '<span class="sd">' not in page
    assert "one seed" in _row(page, "95 % interval over seeds")


def test_interval_that_too_few_pictures_allow_is_said_to_be_none(tmp_path: Path) -> None:
    # An interval over questions takes ten groups of them; the evaluation gives -100 to 100 for fewer.
    page = write_report(make_study(tmp_path / "demo", num_pictures=6)).read_text()
    assert _row(page, "95 % interval over questions").count("too few pictures") == len(ARMS) - 1
    assert page.count("<b>not known</b>") == len(ARMS) - 1


def test_study_of_one_arm_gives_a_page(study: Path) -> None:
    about = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**about, "arms": about["arms"][:1]}))
    (study / "comparison.json").write_text(json.dumps({"about": {}, "comparisons": []}))
    page = write_report(study).read_text()
    assert "nothing is compared" in page and "No arm has a visual loss" in page


def test_moved_study_is_still_found(study: Path) -> None:
    about = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**about, "images": "world/images"}))
    assert write_report(study).is_file()


def test_unfinished_study_is_refused_with_the_file(study: Path) -> None:
    (study / "asvr" / "seed-1" / "instruct" / "stage.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"asvr/seed-1/instruct/stage\.json.*run its command again"):
        write_report(study)


def test_missing_picture_is_refused_with_its_name(study: Path) -> None:
    images = study / "world" / "images"
    about = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**about, "images": str(images)}))
    shutil.rmtree(images)
    with pytest.raises(FileNotFoundError, match=r"picture 'test-0\.png' is in none of"):
        write_report(study)


def test_same_study_gives_the_same_page(page: str, finished: Path) -> None:
    assert write_report(finished).read_text() == page


def test_terminal_table_names_arms_and_verdicts_in_a_hundred_columns(finished: Path) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table(finished))
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= 100
    for name, _, _ in ARMS:
        assert re.search(rf"^{name} +\d\d\.\d ± \d+\.\d ", shown, flags=re.MULTILINE)
    assert "…" not in shown
    assert shown.count("text-only") > len(ARMS)


def _row(page: str, heading: str) -> str:
    return page.split(f'<th scope="row">{heading}</th>')[1].split("</tr>")[0]
