"""Levenshtein's edit distance, a whole column of its table at a time."""


def edit_distance(one: str, other: str) -> int:
    """Counts the characters that must be inserted, deleted or replaced to turn one text into the other.

    Of the table of distances between beginnings of both texts only the steps from row to row are kept, as the bits of
    two whole numbers, so that a column takes a dozen operations on whole numbers (Myers 1999; in the form of Hyyrö,
    "A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances", 2003).

    Args:
        one: A text; its characters are the rows.
        other: Another; its characters are the columns.
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for row, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << row
    every, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, distance = every, 0, len(one)
    for character in other:
        equal = places.get(character, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        rising, falling = down | ~(diagonal | up), up & diagonal
        distance += bool(rising & last) - bool(falling & last)
        rising, falling = rising << 1 | 1, falling << 1
        up, down = (falling | ~(diagonal | rising)) & every, diagonal & rising & every
    return distance
