"""How the yes-or-no benchmarks read a "yes" or "no" and judge it."""

import re
from collections.abc import Sequence

from asvr.evaluation.benchmark import Item, Judgement
from asvr.evaluation.vqa_text import remove_punctuation


def compare(said: str, reference: str) -> Judgement:
    """Judges what was read of an answer; anything but "yes" and "no" is wrong, and counts as not read."""
    return Judgement(float(said == reference), said if said in ("yes", "no") else "")


def find_word(answer: str) -> str:
    """Gives whichever of "yes" and "no" is among the words of an answer; empty if both or neither is.

    VLMEvalKit's rule where no model judges (`YOrN_Extraction`, e8e78f0). "yes/no" has both words, "nothing" neither.
    """
    text = remove_punctuation(answer.strip().lower())
    found = {"yes", "no"} & set(re.sub(r"(?<!\d)\.(?!\d)", "", text).split())
    return found.pop() if len(found) == 1 else ""


def judge_word(item: Item, answer: str) -> Judgement:
    """Judges by `find_word` against the "yes" or "no" in the row's `answer`."""
    return compare(find_word(answer), item["answer"].lower())


def check_one_of(item: Item, column: str, allowed: Sequence[str]) -> None:
    """Refuses a row whose entry is none of those that can be scored.

    Raises:
        ValueError: Naming the entry.
    """
    if str(item[column]) not in allowed:
        raise ValueError(f"`{column}` is {item[column]!r}, but must be one of {', '.join(allowed)}. Mend the row.")
