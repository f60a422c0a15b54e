import json
from pathlib import Path
from typing import Any

import pytest

from asvr.data.conversation import Conversation, Turn, read_conversations

ASK = {"from": "human", "value": "<image>\nWhat is it?"}
ANSWER = {"from": "gpt", "value": "A box."}
TEXT = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]
GOOD = {"id": "good", "image": "0.png", "conversations": [ASK, ANSWER], "category": "what"}


def write(folder: Path, content: Any, name: str = "data.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def record(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "id": "bad", **changes}


def test_every_kind_of_record_is_read(tmp_path: Path) -> None:
    records = [
        GOOD,
        {"id": 12, "conversations": TEXT},
        {"image": ["a/0.png", "b/1.png"]},
    ]
    assert read_conversations(write(tmp_path, records)) == [
        Conversation(
            "good", ("0.png",), (Turn("user", "<image>\nWhat is it?"), Turn("assistant", "A box.")), category="what"
        ),
        Conversation("12", (), (Turn("user", "Hello"), Turn("assistant", "Hi"))),
        Conversation("2", ("a/0.png", "b/1.png"), ()),
    ]


def test_json_lines_are_the_same_records(tmp_path: Path) -> None:
    # U+2028 ends a line for str.splitlines, but not in JSON.
    other = record(id="other", conversations=[ASK, {"from": "gpt", "value": "A\u2028box."}])
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in (GOOD, other)) + "\n\n"
    assert read_conversations(write(tmp_path, lines, "data.jsonl")) == read_conversations(
        write(tmp_path, [GOOD, other])
    )


def test_an_id_shared_by_different_records_is_told_apart(tmp_path: Path) -> None:
    twins = [GOOD, {**GOOD, "conversations": [ASK, {"from": "gpt", "value": "A tower."}]}]
    assert [one.id for one in read_conversations(write(tmp_path, twins))] == ["good", "good~2"]


BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "not an object": ("bad", "must be an object .* but is a str"),
    "nothing in it": ({"id": "bad"}, "neither `image` nor `conversations`"),
    "id is a list": (record(id=["bad"]), "`id` must be a string"),
    "id is empty": (record(id=" "), "`id` is empty"),
    "id is null": (record(id=None), "`id` must be a string"),
    "id is a truth value": (record(id=True), "`id` must be a string"),
    "repeated record": (GOOD, "repeats record 0 word for word"),
    "category is a number": (record(category=3), "`category` must be a string"),
    "image is null": (record(image=None), "`image` must be a string"),
    "image is an empty list": (record(image=[]), "`image` is an empty list"),
    "image in a list is a number": (record(image=[1]), "`image` must be a string"),
    "image path is absolute": (record(image="/etc/0.png"), "inside the image folder, but is '/etc/0.png'"),
    "image path is absolute on Windows": (record(image="C:\\0.png"), "inside the image folder"),
    "image path climbs out": (record(image="a/../../0.png"), "inside the image folder"),
    "conversations is a string": (record(conversations="Hi"), "must be a list of turns"),
    "conversations is empty": (record(conversations=[]), "must be a list of turns"),
    "turn is a string": (record(conversations=["Hi"]), "turn 0 must be"),
    "turn without value": (record(conversations=[{"from": "human"}]), "turn 0 must be"),
    "turn is a number": (record(conversations=[{"from": "human", "value": 3}]), "text of turn 0 must be a string"),
    "unknown role": (record(conversations=[{"from": "system", "value": "x"}]), "turn 0 is from 'system'"),
    "role is a list": (record(conversations=[{"from": ["gpt"], "value": "x"}]), "turn 0 is from"),
    "answer comes first": (record(conversations=[ANSWER, ASK]), "turn 0 is the assistant's, but turns must alternate"),
    "two questions": (record(conversations=[ASK, ASK, ANSWER]), "turn 1 is the user's, but turns must alternate"),
    "question without answer": (record(conversations=[ASK, ANSWER, TEXT[0]]), "nobody answers"),
    "empty answer": (record(conversations=[ASK, {"from": "gpt", "value": "\n"}]), "text of turn 1 is empty"),
    "half a character": (record(conversations=[ASK, {"from": "gpt", "value": "\ud800"}]), "half a character"),
    "image nobody shows": (record(conversations=TEXT), "0 <image> in the text for 1 image"),
    "marker without image": ({"id": "bad", "conversations": [ASK, ANSWER]}, "1 <image> in the text for 0 image"),
    "fewer markers than images": (record(image=["0.png", "1.png"]), "1 <image> in the text for 2 image"),
    "marker in an answer": (
        record(conversations=[ASK, {"from": "gpt", "value": "<image>"}]),
        "turn 1 is an answer that holds <image>",
    ),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_bad_record_is_refused_with_its_place(kind: str, tmp_path: Path) -> None:
    bad, message = BAD_RECORDS[kind]
    path = write(tmp_path, [GOOD, bad])
    with pytest.raises(ValueError, match=message) as refusal:
        read_conversations(path)
    assert str(refusal.value).startswith(f"{path}: record 1")
    if isinstance(bad, dict) and "id" in bad:
        assert f"(id {bad['id']!r})" in str(refusal.value)


def test_bad_records_can_be_skipped_and_each_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, [GOOD, *(bad for bad, _ in BAD_RECORDS.values())])
    reasons: list[str] = []
    assert [one.id for one in read_conversations(path, skip_bad=True, on_skip=reasons.append)] == ["good"]
    assert len(reasons) == len(BAD_RECORDS)
    assert reasons[0].startswith(f"{path}: record 1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.json", '[\n{"id": "a",}\n]', "not JSON at line 2"),
        ("data.jsonl", '{"image": "0.png"}\n{"image": ', "not JSON at line 2"),
        ("data.json", "", "not JSON at line 1"),
        ("data.json", GOOD, "must be a JSON list of records, but is a dict"),
        ("data.json", [], "holds no records"),
        ("data.jsonl", "\n", "holds no records"),
    ],
)
def test_a_file_that_is_no_list_of_records_is_refused(name: str, content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_conversations(write(tmp_path, content, name), skip_bad=True)


def test_a_file_that_is_absent_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        read_conversations(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_conversations(tmp_path / "binary.json")


def test_a_file_of_broken_records_alone_is_refused_even_when_skipping(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every record is broken"):
        read_conversations(write(tmp_path, [{"id": "bad"}]), skip_bad=True)
