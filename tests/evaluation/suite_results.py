"""Results on benchmarks without a model: invented questions, answered rightly or wrongly as marks say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asvr.evaluation.answer_file import Answer, Header, append_answers, write_header
from asvr.evaluation.benchmarks.mme import ALL

HEADER = Header("m", "m", "hash", "d", 16, None, 0, {"asvr": "0"}, protocol="paper", chat_template_hash="vicuna")


def pope(marks: Sequence[bool]) -> list[Answer]:
    """Two questions about each picture; every other one is to be answered "yes"."""
    return [
        _yes_no(index, mark, "yes" if index % 2 else "no", f"{index // 2}", {"category": "random"})
        for index, mark in enumerate(marks)
    ]


def mme(marks: Sequence[bool]) -> list[Answer]:
    """Two questions about each picture, the fourteen categories in turn."""
    return [
        _yes_no(
            index,
            mark,
            "Yes" if index % 2 else "No",
            f"{index // 2}",
            {"category": ALL[index // 2 % 14], "question_id": f"{index // 2}"},
        )
        for index, mark in enumerate(marks)
    ]


def mmvp(marks: Sequence[bool]) -> list[Answer]:
    """Rows 1 and 2 are a pair, and so on."""
    item = {"Question": "?", "Options": "(a) Open (b) Closed", "Correct Answer": "(a)"}
    return [
        Answer(str(row), "", (f"{row}",), "?", "A" if mark else "B", "A. Open", {**item, "Index": str(row)})
        for row, mark in enumerate(marks, start=1)
    ]


def _yes_no(index: int, mark: bool, reference: str, image: str, item: Mapping[str, str]) -> Answer:
    said = reference if mark else ("no" if reference.lower() == "yes" else "yes")
    category = item["category"]
    return Answer(f"q{index}", category, (image,), "?", said, reference, {"answer": reference, **item})


MAKERS: dict[str, Callable[[Sequence[bool]], list[Answer]]] = {"mme": mme, "mmvp": mmvp, "pope": pope}


def write_results(
    folder: Path, marks: Mapping[str, Sequence[bool]], *, evaluation: str = "", header: Header = HEADER
) -> Path:
    """Writes `folder[/evaluation]/<benchmark>`, and gives the folder; marks are by benchmark."""
    for name, row in marks.items():
        place, answers = folder / evaluation / name, MAKERS[name](row)
        write_header(place, replace(header, benchmark=name, num_questions=len(answers)))
        append_answers(place, answers)
    return folder
