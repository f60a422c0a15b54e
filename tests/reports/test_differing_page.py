import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asvr.reports.differing_page import LARGEST, picture_uri, write_differing_page

HOSTILE = "</script><script>alert(1)</script><!-- \"' & \u2028 \u202e naïve 日本"


def a_question(benchmark: str = "pope", images: tuple[str, ...] = ("a",), answer: str = "no") -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "category": "random",
        "id": "q1",
        "images": list(images),
        "question": "Is there a cat?",
        "reference": "yes",
        "outcomes": ["won"],
        "given": [
            {"score": 0.0, "answers": [[answer, answer, 0.0]]},
            {"score": 1.0, "answers": [["yes", "yes", 1.0]]},
        ],
    }


def a_content(*questions: dict[str, Any], note: str = "", arms: tuple[str, ...] = ("base", "asvr")) -> dict[str, Any]:
    outcomes = {"won": 4321, "lost": 2, "reworded": 0, "same": 77}
    counts = {"name": "pope", "note": note, "questions": 4400, "differing": 4323, "shown": 100, "outcomes": [outcomes]}
    return {
        "arms": list(arms),
        "seeds": ["single"],
        "outcomes": ["won", "lost", "reworded"],
        "benchmarks": [counts],
        "questions": list(questions),
    }


def an_image(size: tuple[int, int], mode: str = "RGB", form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 128 if mode in ("L", "P") else "teal").save(file, form)
    return file.getvalue()


def write(folder: Path, content: dict[str, Any], pictures: dict[str, bytes]) -> str:
    write_differing_page(folder / "new" / "page.html", content, pictures.items())
    return (folder / "new" / "page.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    """What the script of the page is given."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


@pytest.mark.parametrize(
    ("size", "expected"), [((1000, 500), (384, 192)), ((300, 3000), (38, 384)), ((64, 48), (64, 48))]
)
def test_pictures_are_reduced_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]):
    assert LARGEST == 384
    assert opened(picture_uri(an_image(size))).size == expected


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("P", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG")]
)
def test_pictures_of_every_kind_are_shown(mode: str, form: str):
    file = io.BytesIO()
    Image.new(mode, (20, 10)).save(file, form)
    assert opened(picture_uri(file.getvalue())).size == (20, 10)


@pytest.mark.parametrize("contents", [b"", b"no picture", an_image((50, 50))[:60]])
def test_a_picture_that_cannot_be_read_is_counted_and_stops_nothing(tmp_path: Path, contents: bytes):
    page = write(tmp_path, a_content(a_question()), {"a": contents})
    assert "1 picture is not shown" in page
    assert data_of(page)["questions"][0]["images"] == [None]


def test_a_picture_is_in_the_file_once_however_many_questions_show_it(tmp_path: Path):
    content = a_content(a_question(), a_question(images=("b", "a", "lost")), a_question(images=()))
    page = write(tmp_path, content, {"a": an_image((40, 40)), "b": an_image((41, 41))})
    data = data_of(page)
    assert [opened(uri).size for uri in data["pictures"]] == [(40, 40), (41, 41)]
    assert [question["images"] for question in data["questions"]] == [[0], [1, 0, None], []]
    assert "2 pictures are in this file" in page and "1 picture is not shown" in page


def test_hostile_words_come_back_as_they_were_and_are_never_markup(tmp_path: Path):
    question = a_question(benchmark=HOSTILE, answer=HOSTILE + "\ud800" + "x" * 10_000)
    page = write(tmp_path, a_content(question, note=HOSTILE, arms=(HOSTILE, "asvr")), {})
    data = data_of(page)
    assert data["questions"] == [{**question, "images": [None]}]
    assert data["arms"] == [HOSTILE, "asvr"]
    # The data and the page's own script; what is written into the page as text is escaped.
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "alert(1)</script>" not in page


def test_script_sets_text_and_never_markup(tmp_path: Path):
    page = write(tmp_path, a_content(a_question()), {})
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert dangerous not in page


def test_page_needs_nothing_else(tmp_path: Path):
    page = write(tmp_path, a_content(a_question()), {"a": an_image((9, 9))})
    assert not re.findall(r"https?://|@import|<link|\bsrc=|fetch\(|import\(", page)


def test_all_counts_are_in_the_table_whatever_is_shown(tmp_path: Path):
    page = write(tmp_path, a_content(a_question(), note="no such folder"), {})
    row = re.sub(r"<[^>]+>", " ", page[page.index("<tbody>") : page.index("</tbody>")]).replace("\u202f", "")
    assert row.split() == ["pope", "asvr", "4400", "4321", "2", "0", "77", "100", "of", "4323"]
    assert "pope: shown without pictures. no such folder" in page


DRIVER = """
const seen = [], form = document.getElementById("filter");
const look = () => seen.push([...cards.children].map((card) => card.querySelector(".question").textContent));
const set = (name, value) => {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
  look();
};
const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
look();
set("benchmark", "mme");
set("category", "count");
set("benchmark", "");
set("text", "TWO wordless");
set("text", "");
form.querySelector("[value=won]").click();
look();
set("arm", "1");
press("j"); press("j");
const focused = document.activeElement.querySelector(".question").textContent;
seen.push([focused, String(document.querySelectorAll("b").length)]);
document.title = JSON.stringify(seen);
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to run the page in")
def test_filters_and_keys_in_a_browser(tmp_path: Path):
    both = {"given": [a_question()["given"][0], *[a_question(answer="<b>")["given"][0]] * 2]}
    questions = [
        {**a_question(), **both, "question": "one", "outcomes": ["won", "lost"]},
        {**a_question("mme"), **both, "question": "two", "category": "count", "outcomes": ["lost", "reworded"]},
        {**a_question("mme"), **both, "question": "three", "category": "colour", "outcomes": ["won", "won"]},
    ]
    questions[1]["reference"] = "wordless"
    content = a_content(*questions, arms=("base", "asvr", "other"))
    counts = content["benchmarks"][0]
    content["benchmarks"] = [{**counts, "name": name, "outcomes": counts["outcomes"] * 2} for name in ("pope", "mme")]
    page = write(tmp_path, content, {"a": an_image((9, 9))}).replace("</body>", f"<script>{DRIVER}</script></body>")
    # The table at the top has bold words of its own.
    (tmp_path / "driven.html").write_text(re.sub(r"</?b>", "", page), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dumped = subprocess.run(
        [*command, "--dump-dom", (tmp_path / "driven.html").as_uri()], capture_output=True, check=True, text=True
    ).stdout
    seen = json.loads(re.findall("<title>(.*?)</title>", dumped)[0])
    assert seen == [
        ["one", "two", "three"],
        ["two", "three"],
        ["two"],
        ["one", "two", "three"],
        ["two"],
        ["one", "two", "three"],
        # Without "won" those are left in which some arm lost, or answered in other words.
        ["one", "two"],
        # "other" lost the first and put the second in other words.
        ["one", "two"],
        ["two", "0"],
    ]
