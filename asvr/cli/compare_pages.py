"""The page of `asvr compare --show`: from answers side by side to questions with pictures."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from asvr.cli.compare_parts import Part, image_folder, record_file, record_part, suite_parts
from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.arms import load_arms
from asvr.evaluation.differing import OUTCOMES, SAME, Asked, Given, choose, count_outcomes, set_side_by_side
from asvr.evaluation.suite_arms import load_suite
from asvr.evaluation.table_files import DATA_ROOT
from asvr.reports.differing_page import write_differing_page

_FIRST_MARKERS = re.compile(rf"^(\s*{re.escape(IMAGE_MARKER)})+\s*")


def show_differing(path: Path, runs: Sequence[Path], *, on: str | None, data_root: Path | None, limit: int) -> None:
    """Writes the page of the questions that runs answered differently.

    Args:
        path: File to write.
        runs: Folders of the arms, the baseline's first, as `asvr compare` takes them.
        on: Name of the evaluation of a file of records; None for benchmarks.
        data_root: Holds a folder per benchmark, by default `DATA_ROOT`; for records, the folder that image names are
            relative to, by default near the file of records.
        limit: Most questions that are shown of each benchmark.

    Raises:
        FileNotFoundError: If a folder or answers are missing; missing pictures are named on the page.
        ValueError: If the limit is below 1, or the arms cannot be compared.
    """
    if limit < 1:
        raise ValueError(f"--show-limit is {limit}, but at least 1 question of a benchmark must be shown. Give more.")
    if on is None:
        suite = load_suite(runs)
        parts = suite_parts(suite, data_root=data_root or DATA_ROOT)
        write_differing(path, list(suite.folders), suite.seeds, parts, limit=limit)
    else:
        arms = load_arms(runs, on=on)
        images = data_root or image_folder(record_file(runs[0], on=on))
        seeds = list(arms[0].runs)
        write_differing(path, [arm.name for arm in arms], seeds, [record_part(on, arms, images=images)], limit=limit)


def write_differing(
    path: Path, names: Sequence[str], seeds: Sequence[str], parts: Iterable[Part], *, limit: int
) -> None:
    """Writes the page, given the answers.

    Args:
        path: File to write.
        names: Of the arms, the baseline's first.
        seeds: Names of their runs.
        parts: What is shown, in order. One at a time is held with all its answers.
        limit: Most questions that are shown of each part.

    Raises:
        ValueError: If arms cannot be compared.
    """
    benchmarks, chosen = [], []
    for part in parts:
        asked = set_side_by_side(part.arms, part.judge)
        shown = choose(asked, limit=limit)
        benchmarks.append(_counts(part, asked, shown))
        chosen.append((part._replace(arms=()), shown))
    content = {
        "arms": list(names),
        "seeds": list(seeds),
        "outcomes": [name for name in OUTCOMES if name != SAME],
        "benchmarks": benchmarks,
        "questions": [_content(part, one) for part, shown in chosen for one in shown],
    }
    opened = (picture for each in track(chosen, description="Adding pictures") for picture in _open(*each))
    write_differing_page(path, content, opened)


def _counts(part: Part, asked: Sequence[Asked], shown: Sequence[Asked]) -> dict[str, Any]:
    return {
        "name": part.name,
        "note": part.note,
        "questions": len(asked),
        "differing": sum(each.differs for each in asked),
        "shown": len(shown),
        "outcomes": count_outcomes(asked),
    }


def _content(part: Part, asked: Asked) -> dict[str, Any]:
    question = asked.question
    return {
        "benchmark": part.name,
        "category": question.category,
        "id": question.id,
        "images": list(question.images),
        "question": _FIRST_MARKERS.sub("", question.question),
        "reference": question.reference,
        "outcomes": list(asked.outcomes),
        "given": [_answers(each) for each in asked.given],
    }


def _answers(given: Given) -> dict[str, Any]:
    answers = [
        [text, judgement.extracted, judgement.score]
        for text, judgement in zip(given.answers, given.judgements, strict=True)
    ]
    return {"score": given.score, "answers": answers}


def _open(part: Part, shown: Sequence[Asked]) -> Iterator[tuple[str, bytes]]:
    for name in dict.fromkeys(name for each in shown for name in each.question.images):
        try:
            yield name, part.open(name)
        except (OSError, KeyError):
            # The page counts what is absent.
            continue
