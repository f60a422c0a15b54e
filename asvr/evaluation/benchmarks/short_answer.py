"""What the benchmarks with short free answers share: a sentence below the question, and references as texts."""

from asvr.data.conversation import IMAGE_MARKER
from asvr.evaluation.benchmark import Item

WORD_OR_PHRASE = "Answer the question using a single word or phrase."


def ask(item: Item, *, suffix: str = "") -> str:
    """Gives the question, with a sentence below it if there is one."""
    return f"{IMAGE_MARKER}\n{item['question']}" + (f"\n{suffix}" if suffix else "")


def reference_texts(item: Item, column: str) -> list[str]:
    """Gives the right answers of a row as texts; numbers, as JSON may hold them, are written out.

    Raises:
        ValueError: If there is none, or one is neither text nor number.
    """
    value = item[column]
    answers = list(value) if isinstance(value, list | tuple) else [value]
    if not answers or any(type(answer) not in (str, int, float) for answer in answers):
        raise ValueError(
            f"`{column}` is {value!r}, but a question is scored against a text or a list of texts. "
            "Give the right answers, or another split if those of this one are hidden."
        )
    return [str(answer) for answer in answers]


def reference_text(item: Item, column: str) -> str:
    """Gives the one right answer of a row as text.

    Raises:
        ValueError: If there is not exactly one, or it is empty.
    """
    answers = reference_texts(item, column)
    if len(answers) > 1 or not answers[0].strip():
        raise ValueError(f"`{column}` is {item[column]!r}, but a question has one right answer. Give that text.")
    return answers[0]


def check_answer(item: Item) -> None:
    """Refuses a row without a question or without its one right answer in `answer`.

    Raises:
        ValueError: Saying what is missing.
    """
    check_question(item)
    reference_text(item, "answer")


def check_question(item: Item) -> None:
    """Refuses a row without a question.

    Raises:
        ValueError: If it is no text, or empty.
    """
    question = item["question"]
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"`question` is {question!r}, but must be a text to be put. Mend the row or leave it out.")
