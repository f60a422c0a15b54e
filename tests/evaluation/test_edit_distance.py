import random

import pytest

from asvr.evaluation.edit_distance import edit_distance


def distance_by_table(one: str, other: str) -> int:
    """The textbook's table (Wagner and Fischer 1974), row by row."""
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        here = [row]
        for column, other_letter in enumerate(other, start=1):
            changed = above[column - 1] + (letter != other_letter)
            here.append(min(above[column] + 1, here[-1] + 1, changed))
        above = here
    return above[-1]


def test_random_texts_are_as_far_apart_as_the_table_says() -> None:
    draw = random.Random(0)
    for _ in range(400):
        one, other = ("".join(draw.choices("abc", k=draw.randrange(70))) for _ in range(2))
        assert edit_distance(one, other) == edit_distance(other, one) == distance_by_table(one, other), (one, other)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("日本語", "日本", 1),
        ("a" * 10_000, "a" * 9_999 + "b", 1),
        ("a" * 10_000, "b" * 10_000, 10_000),
        ("ab" * 5_000, "ba" * 5_000, 2),
    ],
)
def test_known_distances(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == distance
