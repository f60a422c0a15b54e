"""What the multiple-choice benchmarks share: how options are shown, and the rules that read a letter from an answer."""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Judgement
from asvr.evaluation.reading import after_marker

SUFFIX = "Answer with the option's letter from the given choices directly."

Options = Mapping[str, str]
"""The texts to choose from, by upper-case letter."""

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_CHOSEN = ("answer", "correct answer", "best answer", "correct option", "best option", "choice", "correct choice")
_PHRASES = (
    *(f"{the}{chosen} is" for the in ("", "the ") for chosen in _CHOSEN),
    *("my answer is", "my choice is", "i choose", "i select", "i pick"),
    *("옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
_SHAPES = ("({})", "{}.", "{}:", "{})", "{} ", "{}")


def number(texts: Sequence[str]) -> Options:
    """Gives texts their letters, from A on."""
    return dict(zip(ascii_uppercase, texts, strict=False))


def show(options: Options) -> str:
    """Puts every option on a line of its own, as "A. text"."""
    return "\n".join(f"{letter}. {text}" for letter, text in options.items())


def check_options(options: Options, reference: str) -> None:
    """Refuses a question that cannot be asked or scored.

    Raises:
        ValueError: If fewer than two options have a text, or the right one has none.
    """
    filled = [letter for letter, text in options.items() if text.strip()]
    if len(filled) < 2 or reference not in filled:
        raise ValueError(
            f"the options are {dict(options)} and the answer is {reference!r}, but a question needs at least 2 options "
            "with a text, its answer among them. Mend the row."
        )


def compare(said: str, reference: str) -> Judgement:
    """Judges what was read of an answer, in lower case: it must be the reference, whose own case does not matter."""
    return Judgement(float(said == reference.lower()), said)


def unwrap(answer: str, *, ends: str = ".:,") -> str:
    """Takes an answer's tail out of its brackets and marks, as "b" of "The answer is (B)." (Cambrian-1).

    Args:
        answer: As the model wrote it.
        ends: Marks that do not count at the end.
    """
    return after_marker(answer).rstrip(ends).lstrip("(").rstrip(")")


def first_letter(answer: str, *, ends: str = ".:,") -> str:
    """Reads the first character of the unwrapped answer (Cambrian-1): "dog" is d, and "the answer is: B" is a colon."""
    return unwrap(answer, ends=ends)[:1]


def likeliest_letter(answer: str, letters: str) -> str:
    """Reads the letter that stands in the most telling place (lmms-eval `mcq_extract`, 75571cf).

    These are, in this order: the beginning; the end; after a phrase such as "the answer is"; in brackets; before a
    full stop, a colon, a bracket or a space; anywhere. Of several letters in equal places, the last one counts. Only
    capitals are letters.

    Args:
        answer: As the model wrote it.
        letters: What may be answered, such as "ABCD".

    Returns:
        In lower case; empty if there is none.
    """
    core = answer.strip()
    for mark in ",.!?;:'\"":
        core = core.strip(mark)
    text = f" {core} "
    core = core.strip()
    # A letter that begins or ends a longer word is none.
    if core[:1] in letters and not core[1:2].isalpha():
        return core[:1].lower()
    if core[-1:] in letters and not core[-2:-1].isalpha():
        return core[-1:].lower()
    places = _after_phrases(text, letters)
    for shape in _SHAPES:
        places = places or _found({letter: text.rfind(shape.format(letter)) for letter in letters})
    return max(places, key=lambda letter: places[letter]).lower() if places else ""


def _after_phrases(text: str, letters: str) -> dict[str, int]:
    """Finds the place of each letter after each phrase; the last place of a letter counts."""
    lower = text.lower()
    starts = [lower.find(phrase) + len(phrase) for phrase in _PHRASES if phrase in lower]
    return _found({letter: max((text.find(letter, start) for start in starts), default=-1) for letter in letters})


def _found(places: dict[str, int]) -> dict[str, int]:
    return {letter: place for letter, place in places.items() if place >= 0}


def only_letter(answer: str, options: Options) -> str:
    """Reads the one letter or the one option's text that an answer holds (VLMEvalKit `can_infer`, e8e78f0).

    A letter must be a word of its own among the last four, or follow "answer is". Where VLMEvalKit would now ask GPT,
    nothing is read. Letters are capitals, but for those after "answer is", which may also begin a word there: "the
    answer is clearly" is read as C.

    Returns:
        In lower case; empty if there is none.
    """
    if any(refusal in answer for refusal in _REFUSALS):
        return ""
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and words.index(letters[0]) > len(words) - 5:
        return letters[0].lower()
    if not letters and "Z" in words:
        return ""
    stated = re.search(r"answer\s+is\s+\**([ABCD])", answer, re.IGNORECASE)
    if stated and stated[1].upper() in options:
        return stated[1].lower()
    return _only_text(answer.strip().lower(), options)


def _only_text(answer: str, options: Options) -> str:
    if len(answer) > 2 * sum(map(len, options.values())):
        return ""
    found = [letter for letter, text in options.items() if text.lower() in answer]
    return found[0].lower() if len(found) == 1 else ""


def vlmevalkit_prompt(question: str, options: Options, *, hint: str = "") -> str:
    """Asks as VLMEvalKit's `ImageMCQDataset` does for a model without a prompt of its own; no white space at the end.

    Args:
        question: Its text.
        options: May be empty, for an open question.
        hint: What is said before it, if anything.
    """
    lines = [f"Hint: {hint}"] if hint else []
    lines.append(f"Question: {question}")
    if options:
        lines += ["Options:", show(options), "Please select the correct answer from the options above."]
    return "\n".join([IMAGE_MARKER, *lines])
