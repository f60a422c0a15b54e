"""Rules that several reference scorers share for reading a short answer (Cambrian-1 `eval/`, 539ffc3)."""

MARKERS = ("answer is", "answer is:", "answer:")


def after_marker(answer: str) -> str:
    """Keeps what follows the last "answer is" or "answer:", in lower case.

    The markers are tried in that order, so "The answer is: B" keeps ": B": the first one has cut before the colon.
    """
    text = answer.strip().lower()
    for marker in MARKERS:
        text = text.rpartition(marker)[2]
    return text.strip()


def as_number(text: str) -> float | None:
    """Gives the number a text is to Python's `float`, None if it is none; "45%", "$5" and "1,000" are none."""
    try:
        return float(text)
    except ValueError:
        return None
