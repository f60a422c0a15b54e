import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asvr.cli.compare import compare
from asvr.cli.compare_pages import show_differing
from asvr.evaluation.answer_file import Answer, Header, append_answers, write_header
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.questions import QuestionSet
from asvr.evaluation.tables import read_benchmark
from tests.evaluation.sample_sets import write_sample_set


def answer_benchmark(folder: Path, name: str, asked: QuestionSet, answers: Sequence[str]) -> None:
    """Writes a result whose answers repeat some texts."""
    header = Header("m", "m", "hash", asked.data, 16, None, len(asked.questions), {}, name, "paper", asked.left_out)
    write_header(folder / name, header)
    append_answers(
        folder / name,
        [
            Answer(each.id, each.category, each.images, each.text, answers[i % len(answers)], each.reference, each.item)
            for i, each in enumerate(asked.questions)
        ],
    )


@pytest.fixture
def results(tmp_path: Path) -> list[Path]:
    """Two arms on two benchmarks, whose data are in `tmp_path/data`."""
    folders = [tmp_path / "base", tmp_path / "asvr"]
    for name in ("ocrbench", "pope"):
        write_sample_set(name, tmp_path / "data" / name, form="jsonl")
        asked = read_benchmark(BENCHMARKS[name], protocol="paper", folder=tmp_path / "data" / name)
        for folder, answers in zip(folders, (["No.", "no", "no"], ["no", "Yes, there is", "no"]), strict=True):
            answer_benchmark(folder, name, asked, answers)
    return folders


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


def test_comparing_benchmarks_writes_both_pages(
    results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page, show = tmp_path / "report.html", tmp_path / "new" / "show.html"
    compare(results, resamples=100, html=page, show=show, data_root=tmp_path / "data")
    assert "asvr beside base" in page.read_text(encoding="utf-8")
    assert str(show) in capsys.readouterr().out
    data = data_of(show)
    asked = read_benchmark(BENCHMARKS["pope"], protocol="paper", folder=tmp_path / "data" / "pope")
    pope = [each for each in data["questions"] if each["benchmark"] == "pope"]
    # Every third answer is put in other words, every third is another; each right or wrong as POPE's rule reads it.
    expected = {
        each.id: "reworded" if i % 3 == 0 else "won" if each.reference.lower() == "yes" else "lost"
        for i, each in enumerate(asked.questions)
        if i % 3 < 2
    }
    assert {each["id"]: each["outcomes"][0] for each in pope} == expected
    assert {"won", "lost", "reworded"} == set(expected.values())
    assert all(each["given"][1]["answers"][0][1] in ("no", "yes") for each in pope)
    assert all(place is not None for each in pope for place in each["images"])
    assert all("<image>" not in each["question"] for each in data["questions"])


def test_a_limit_holds_for_each_benchmark(results: list[Path], tmp_path: Path):
    show_differing(tmp_path / "show.html", results, on=None, data_root=tmp_path / "data", limit=2)
    assert [each["benchmark"] for each in data_of(tmp_path / "show.html")["questions"]] == ["ocrbench"] * 2 + [
        "pope"
    ] * 2
    with pytest.raises(ValueError, match="--show-limit is 0"):
        show_differing(tmp_path / "show.html", results, on=None, data_root=None, limit=0)


def test_pictures_come_from_where_evaluation_had_them_or_the_page_has_none(results: list[Path], tmp_path: Path):
    show = tmp_path / "show.html"
    show_differing(show, results, on=None, data_root=tmp_path / "elsewhere", limit=9)
    assert data_of(show)["pictures"]
    (tmp_path / "data").rename(tmp_path / "moved")
    show_differing(show, results, on=None, data_root=tmp_path / "elsewhere", limit=9)
    assert not data_of(show)["pictures"]
    assert f"pope: shown without pictures. {tmp_path / 'elsewhere' / 'pope'}: no such folder." in show.read_text()


def test_data_that_cannot_be_read_leave_a_page_without_pictures(results: list[Path], tmp_path: Path):
    (tmp_path / "data" / "pope" / "test.jsonl").write_text("{broken", encoding="utf-8")
    show_differing(tmp_path / "show.html", results, on=None, data_root=tmp_path / "data", limit=9)
    text = (tmp_path / "show.html").read_text(encoding="utf-8")
    assert "pope: shown without pictures." in text and "ocrbench: shown without pictures." not in text


@pytest.mark.parametrize("place", ["images", "."])
def test_records_are_shown_with_every_seed_and_their_images(tmp_path: Path, place: str):
    (tmp_path / place).mkdir(exist_ok=True)
    Image.new("RGB", (30, 20)).save(tmp_path / place / "0.png")
    runs = []
    for arm, said in (("base", ("cat", "dog")), ("asvr", ("Cat.", "cat"))):
        runs.append(tmp_path / arm)
        for seed, text in enumerate(said):
            out = runs[-1] / f"seed-{seed}" / "evaluation" / "animals"
            write_header(out, Header("m", "m", "hash", str(tmp_path / "animals.json"), 16, None, 2, {}))
            asked = [Answer(f"q{i}", "kind", (f"{i}.png",), "<image>\nWhat is it?", text, "cat") for i in range(2)]
            append_answers(out, asked)
    show_differing(tmp_path / "show.html", runs, on="animals", data_root=None, limit=9)
    data = data_of(tmp_path / "show.html")
    assert data["seeds"] == ["seed-0", "seed-1"] and len(data["pictures"]) == 1
    assert [each["images"] for each in data["questions"]] == [[0], [None]]
    assert data["questions"][0]["question"] == "What is it?"
    assert data["questions"][0]["outcomes"] == ["won"]
    assert data["questions"][0]["given"] == [
        {"score": 0.5, "answers": [["cat", "cat", 1.0], ["dog", "dog", 0.0]]},
        {"score": 1.0, "answers": [["Cat.", "cat", 1.0], ["cat", "cat", 1.0]]},
    ]
