import multiprocessing

import pytest

from asvr.data.conversation import Conversation, Turn
from asvr.data.shared import SharedList

ITEMS = [Conversation(str(i), (f"{i}.png",) * (i % 2), (Turn("assistant", "x" * i),)) for i in range(5)]


def test_it_is_the_list() -> None:
    shared = SharedList(ITEMS)
    assert list(shared) == ITEMS and len(shared) == 5
    assert shared[-1] == ITEMS[-1] and shared[1:4:2] == ITEMS[1:4:2]
    with pytest.raises(IndexError):
        shared[5]


def test_an_empty_list_is_empty() -> None:
    assert list(SharedList([])) == []


def test_its_bytes_are_shared_memory() -> None:
    shared = SharedList(ITEMS)
    assert shared.data.is_shared() and shared.ends.is_shared()
    # What another process writes there is read here, so it is no copy.
    process = multiprocessing.get_context("fork").Process(target=shared.data.zero_)
    process.start()
    process.join()
    assert not shared.data.any()
