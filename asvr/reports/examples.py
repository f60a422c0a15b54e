"""Which questions the page shows, by rules that know nothing of who answered well."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asvr.reports.results import Arm, Study

IMAGE_MARKER = "<image>"
NUM_SAMPLES = 6
NUM_DIFFERING = 6
"""Questions shown in each direction."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """An arm's answer and whether it is right."""

    arm: str
    answer: str
    right: bool


@dataclass(frozen=True)
class Example:
    """A question as it is shown.

    Args:
        kind: Kind of question.
        images: Names of its pictures.
        question: Its words, without image markers.
        reference: The right answer.
        answers: What the arms answered.
    """

    kind: str
    images: tuple[str, ...]
    question: str
    reference: str
    answers: tuple[Given, ...]


@dataclass(frozen=True)
class Differing:
    """Where two arms differ.

    Args:
        arm: Compared with the baseline.
        counts: Questions that both, only the arm, only the baseline, and neither answered rightly.
        only_arm: Some that only the arm did.
        only_baseline: Some that only the baseline did.
    """

    arm: str
    counts: tuple[int, int, int, int]
    only_arm: tuple[Example, ...]
    only_baseline: tuple[Example, ...]


def is_right(answer: str, reference: str) -> bool:
    """Compares as the scores do: but for white space at the ends, a full stop at the end, and case."""
    one, other = (text.strip().removesuffix(".").rstrip().casefold() for text in (answer, reference))
    return one == other


def samples(study: Study) -> list[Example]:
    """Takes the first questions of the first seed, kinds in turn, no picture twice."""
    shown: set[tuple[str, ...]] = set()

    def is_new(record: Record) -> bool:
        images = tuple(record["images"])
        if not images or images in shown:
            return False
        shown.add(images)
        return True

    chosen = _in_turn(study.baseline.runs[0].answers, NUM_SAMPLES, accept=is_new)
    return [_example(study.arms, record) for record in chosen]


def differing(study: Study) -> Differing | None:
    """Compares the baseline with the first arm that has a visual loss, in the first seed; None if there is none."""
    arm = next((arm for arm in study.arms[1:] if arm.runs[0].supervision), None)
    if arm is None:
        return None
    own = {record["id"]: _right(record) for record in arm.runs[0].answers}
    groups: dict[tuple[bool, bool], list[Record]] = defaultdict(list)
    for record in study.baseline.runs[0].answers:
        groups[own[record["id"]], _right(record)].append(record)
    both, arm_alone, baseline_alone, neither = (
        groups[key] for key in ((True, True), (True, False), (False, True), (False, False))
    )
    pair = (study.baseline, arm)
    return Differing(
        arm=arm.name,
        counts=(len(both), len(arm_alone), len(baseline_alone), len(neither)),
        only_arm=tuple(_example(pair, record) for record in _in_turn(arm_alone, NUM_DIFFERING)),
        only_baseline=tuple(_example(pair, record) for record in _in_turn(baseline_alone, NUM_DIFFERING)),
    )


def _in_turn(records: Iterable[Record], number: int, *, accept: Callable[[Record], bool] = bool) -> list[Record]:
    """Goes round the kinds and takes the next accepted record of each, up to a number."""
    queues: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        queues[record["category"]].append(record)
    iterators = {kind: iter(queue) for kind, queue in sorted(queues.items())}
    chosen: list[Record] = []
    while iterators and len(chosen) < number:
        for kind, iterator in list(iterators.items()):
            record = next((record for record in iterator if accept(record)), None)
            if record is None:
                del iterators[kind]
            else:
                chosen.append(record)
    return chosen[:number]


def _example(arms: Sequence[Arm], record: Record) -> Example:
    answers = []
    for arm in arms:
        own = next(each for each in arm.runs[0].answers if each["id"] == record["id"])
        answers.append(Given(arm.name, own["answer"], _right(own)))
    return Example(
        kind=record["category"],
        images=tuple(record["images"]),
        question=record["question"].replace(IMAGE_MARKER, "").strip(),
        reference=record["reference"],
        answers=tuple(answers),
    )


def _right(record: Record) -> bool:
    return is_right(record["answer"], record["reference"])
