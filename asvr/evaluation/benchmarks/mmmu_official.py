"""How MMMU's own code reads answers (MMMU-Benchmark/MMMU `eval_utils.py`), in the version that lmms-eval copied."""

import re
from collections.abc import Sequence

from asvr.evaluation.benchmarks.letters import Options
from asvr.evaluation.reading import as_number

_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)
"""Numbers with thousands separators, with an exponent, and all others."""


def read_letter(answer: str, options: Options) -> str:
    """Reads a letter in brackets, else one at the end of a word, else one before a full stop, else an option's text.

    Of several, the last one counts; texts are looked for only in answers of more than five words. Where nothing is
    found, MMMU's code takes an option at random, whose expected worth is more than nothing; here nothing is read.

    Returns:
        In lower case; empty if there is none.
    """
    text = answer.strip()
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    for shape, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in options if shape.format(letter) in text]
        if found:
            return max(found, key=lambda letter: text.rfind(place.format(letter))).lower()
    lower, texts = text.lower(), {letter: option.lower() for letter, option in options.items()}
    found = [letter for letter, option in texts.items() if option in lower] if len(text.split()) > 5 else []
    return max(found, key=lambda letter: lower.rfind(texts[letter])).lower() if found else ""


def answers_match(answer: str, references: Sequence[str]) -> bool:
    """Says whether an open answer holds a right text, or a number that is right to two decimals.

    Args:
        answer: As the model wrote it.
        references: All that are right.
    """
    parts = _key_parts(answer.strip().strip(".").lower())
    numbers = [found for part in parts for pattern in _NUMBERS for found in re.findall(pattern, part)]
    said = {form for text in (*parts, *numbers) for form in _forms(text)}
    right = {form for text in references for form in _forms(text)}
    texts = [form for form in said if isinstance(form, str)]
    return bool(said & right) or any(form in text for form in right if isinstance(form, str) for text in texts)


def _key_parts(answer: str) -> list[str]:
    """Gives what follows words such as "is" in each line: the shortest such tail; the whole answer if there is none."""
    *others, last = answer.split("\n")
    parts = []
    for line, indicators in (*((other, _INDICATORS) for other in others), (last, (*_INDICATORS, "="))):
        tails = [line.rpartition(indicator)[2].strip() for indicator in indicators if indicator in line]
        # An empty tail never counts as the shortest one so far.
        shortest = ""
        for tail in tails:
            shortest = tail if not shortest or len(tail) < len(shortest) else shortest
        if shortest and shortest not in (":", ",", ".", "!", "?", ";", "'"):
            parts.append(shortest)
    return parts or [answer]


def _forms(text: str) -> list[str | float]:
    """Gives a number, rounded, or a lower-case text; a single character must stand beside a space."""
    value = as_number(text.strip().replace(",", ""))
    if value is not None:
        return [round(value, 2)]
    lower = text.strip().lower()
    return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]
