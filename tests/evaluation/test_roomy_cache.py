"""Keys and values put together and thinned out in place, beside the stock layer, which allocates them anew."""

from typing import Any

import pytest
import torch
from transformers import DynamicLayer

from asvr.evaluation.prompt_batch import TOGETHER, cut_by_tokens
from asvr.evaluation.roomy_cache import ROOM, RoomyLayer
from asvr.evaluation.writing import close_gaps

HEADS, WIDTH = 2, 4


def draw(questions: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = torch.randn(2, questions, HEADS, length, WIDTH)
    return keys, values


def begun() -> tuple[Any, Any]:
    """Three questions, the first and last of which begin alike; the second one's beginning is shorter."""
    torch.manual_seed(0)
    ours, stock = RoomyLayer(), DynamicLayer()
    (keys, values), (short_keys, short_values) = draw(1, 5), draw(1, 3)
    ours.begin([5, 5, 5], 5)
    ours.place([0, 2], keys[0], values[0])
    ours.place([1], short_keys[0], short_values[0])
    ours.look_at(slice(0, 3), 5)
    padding = torch.zeros(1, HEADS, 2, WIDTH)
    middle = torch.cat([padding, short_keys], dim=2), torch.cat([padding, short_values], dim=2)
    stock.update(*(torch.cat([long, short, long]) for long, short in zip((keys, values), middle, strict=True)))
    return ours, stock


def assert_same(ours: Any, stock: Any) -> None:
    assert ours.get_seq_length() == stock.get_seq_length()
    assert torch.equal(ours.keys, stock.keys)
    assert torch.equal(ours.values, stock.values)


def test_a_roomy_layer_gives_what_the_stock_one_gives():
    ours, stock = begun()
    assert_same(ours, stock)
    for new, kept in ((1, [0, 2]), (ROOM + 1, [0, 1]), (3, [1]), (1, [0])):
        states = draw(len(stock.keys), new)
        for found, expected in zip(ours.update(*states), stock.update(*states), strict=True):
            assert torch.equal(found, expected)
        if kept != [1]:
            ours.batch_select_indices(torch.tensor(kept))
            stock.batch_select_indices(torch.tensor(kept))
        assert_same(ours, stock)


def test_questions_read_on_in_parts_give_what_they_give_together():
    ours, stock = begun()
    keys, values = draw(3, 4)
    stock.update(keys, values)
    for rows in (slice(0, 2), slice(2, 3)):
        ours.look_at(rows, 5)
        found, _ = ours.update(keys[rows], values[rows])
        assert torch.equal(found, stock.keys[rows])
    ours.look_at(slice(0, 3), 9)
    assert_same(ours, stock)


def test_memory_outlasts_a_batch_and_what_was_in_it_does_not():
    ours, _ = begun()
    ours.update(*(states * float("inf") for states in draw(3, 4)))
    before = ours.room.data_ptr()
    ours.begin([9], 9)
    ours.place([0], *(torch.ones(HEADS, 3, WIDTH),) * 2)
    ours.look_at(slice(0, 1), 9)
    assert ours.room.data_ptr() == before
    expected = torch.zeros(1, HEADS, 9, WIDTH)
    expected[:, :, 6:] = 1
    assert torch.equal(ours.keys, expected) and torch.equal(ours.values, expected)


def test_no_question_is_overwritten_before_it_has_moved():
    ours, _ = begun()
    with pytest.raises(AssertionError, match="1 would be overwritten"):
        ours.batch_select_indices(torch.tensor([1, 0]))


@pytest.mark.parametrize(
    ("going", "places"), [("0111", [3, 1, 2]), ("1101", [0, 1, 3]), ("0011", [3, 2]), ("1110", [0, 1, 2]), ("0000", [])]
)
def test_the_last_fill_the_gaps(going: str, places: list[int]):
    found = close_gaps([bool(int(each)) for each in going])
    assert sorted(found) == sorted(places)
    assert all(moved == place or moved >= len(found) for place, moved in enumerate(found))


def test_prompts_are_cut_by_their_tokens_with_padding():
    half = TOGETHER // 2
    assert cut_by_tokens([]) == []
    assert cut_by_tokens([half, half, half]) == [slice(0, 2), slice(2, 3)]
    # Two of half a group and one token more are too many, padding and all.
    assert cut_by_tokens([1, half + 1, 1]) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert cut_by_tokens([TOGETHER + 1, 1, 1]) == [slice(0, 1), slice(1, 3)]
    assert cut_by_tokens([1] * (TOGETHER + 1)) == [slice(0, TOGETHER), slice(TOGETHER, TOGETHER + 1)]
