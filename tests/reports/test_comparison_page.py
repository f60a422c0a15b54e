import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from asvr.reports.comparison_page import write_comparison_page
from tests.reports.fake_comparison import HASH, a_comparison, as_benchmarks

ONE, THREE = {"base": [0.5], "asvr": [0.9]}, {"base": [0.5] * 3, "asvr": [0.9, 0.88, 0.92], "other": [0.49, 0.5, 0.52]}


class Page(HTMLParser):
    """Tags with their attributes, table rows and text of a page; refuses tags that are not closed in order."""

    VOID = frozenset({"meta", "br", "img", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.words.append(data)
        if "tr" in self.open and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def write(folder: Path, content: dict[str, Any]) -> str:
    write_comparison_page(folder / "new" / "page.html", content)
    return (folder / "new" / "page.html").read_text(encoding="utf-8")


def test_every_number_of_a_row_is_the_comparison_s(tmp_path: Path):
    content = a_comparison(THREE)
    page = Page(write(tmp_path, content))
    for comparison in content["comparisons"]:
        assert comparison["average"]["verdict"] in page.text
        for name in ("kind 0", "kind 1"):
            figure = comparison["categories"][name]
            questions, seeds = (
                f"[{low:+.1f}, {high:+.1f}]" for low, high in (figure["question_interval"], figure["seed_interval"])
            )
            p = "< 0.001" if figure["adjusted_p"] < 0.001 else f"{figure['adjusted_p']:.3f}"
            expected = [name, "60", f"{figure['baseline']:.1f}", f"{figure['accuracy']:.1f}", questions, seeds, p]
            rows = [[cell.strip() for cell in row[:4] + row[5:8]] for row in page.rows if len(row) == 9]
            assert expected in rows


def test_marks_stand_where_every_test_agrees(tmp_path: Path):
    content = a_comparison(THREE)
    better = [each for one in content["comparisons"] for each in (one["average"], one["overall"])]
    better += [each for one in content["comparisons"] for each in one["categories"].values()]
    number = sum("is better than" in each["verdict"] for each in better)
    rows = Page(write(tmp_path, content)).rows
    # The table of scores repeats all but the overall figures; 40 points are better with 60 questions, 0 are not.
    assert number == 4
    assert sum("▲" in "".join(row) for row in rows) == number + 3
    assert not any("▼" in "".join(row) for row in rows)


def test_page_needs_nothing_else(tmp_path: Path):
    text = write(tmp_path, as_benchmarks(a_comparison(ONE)))
    loaded = [value for _, attrs in Page(text).tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith(("#", "data:")) for value in loaded)
    assert "@import" not in text and "url(http" not in text and "<script" not in text


def test_names_are_escaped_and_never_taken_for_formulas(tmp_path: Path):
    page = Page(write(tmp_path, a_comparison({"<i>base</i>": [0.5], "$x_1$ & \\frac$": [0.9]})))
    assert "i" not in {tag for tag, _ in page.tags}
    assert "<i>base</i>" in page.text and "$x_1$ & \\frac$" in page.text


def test_one_seed_has_no_interval_over_seeds_and_says_so(tmp_path: Path):
    page = Page(write(tmp_path, a_comparison(ONE)))
    assert "One seed only" in page.text and "over seeds" not in page.text


def test_too_few_questions_are_named_and_not_drawn(tmp_path: Path):
    content = a_comparison(ONE, num_questions=12)
    page = Page(write(tmp_path, content))
    row = next(row for row in page.rows if row[0] == "kind 0")
    assert [cell.strip() for cell in row[5:]] == ["too few", "1.000", "–"]


def test_benchmarks_have_leave_one_out_other_metrics_and_provenance(tmp_path: Path):
    content = as_benchmarks(a_comparison(THREE))
    text = write(tmp_path, content)
    page = Page(text)
    assert text.count("<svg") == 4
    assert "without kind 1" in page.text and "The same verdict whichever is left out." in page.text
    # Beside its mark it would say "better": a metric that is not the headline has no verdict.
    secondary = [row for row in page.rows if row[0] == "pope F1"]
    assert len(secondary) == 2 and all("▲" not in row[4] and row[7] == "–" for row in secondary)
    assert "all questions" not in page.text
    assert ["kind 0", "paper", "accuracy", "3 about a video", "where it is from. what to know", HASH[:12]] in page.rows
    assert "torch 2.9" in page.text and "/runs/asvr" in page.text


def test_what_must_be_known_before_the_numbers_is_said(tmp_path: Path):
    content = as_benchmarks(a_comparison(THREE))
    assert "absent" not in {attrs.get("class") for _, attrs in Page(write(tmp_path, content)).tags}
    content["about"] |= {
        "lacking": {"mmmu": ["asvr"]},
        "chat_templates": {"base": ["vicuna"], "asvr": ["mistral"]},
        "unmeasured": ["mme total/28"],
    }
    content["about"]["benchmarks"]["kind 0"]["limit"] = 100
    text = Page(write(tmp_path, content)).text
    assert "mmmu (not in asvr)" in text and "different chat templates" in text
    assert "mme total/28 could not be measured" in text and "kind 0 (the first 100)" in text


def test_nothing_compared_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="Nothing is compared"):
        write_comparison_page(tmp_path / "page.html", {"about": {}, "comparisons": []})
