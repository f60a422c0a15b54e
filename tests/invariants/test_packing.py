"""Packed rows are the same conversations as rows of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.modeling_flash_attention_utils import _is_packed_sequence

from asvr.data.collate import Collator
from asvr.data.dataset import ConversationDataset
from asvr.data.packing import PackingCollator, Rows, pack, rows_of
from asvr.data.template import Encoded
from tests.invariants.batches import assert_close, build, collate, gradients

SOURCES = ("instruct", "unlabelled")
SIX = ["q0", "text", "two", "u0", "q3", "u5"]


def packed(dataset: ConversationDataset, ids: list[str], rows: Rows = "several") -> dict[str, Any]:
    index = {one.id: number for number, one in enumerate(dataset.conversations)}
    collator = Collator.for_tokenizer(dataset.encode.processor.tokenizer, sources=SOURCES)
    return PackingCollator(collator, rows)([dataset[index[i]] for i in ids])


def test_rows_are_filled_longest_first() -> None:
    assert pack([3, 7, 4, 6, 5], 10) == [[1, 0], [3, 2], [4]]


@pytest.mark.parametrize("rows", ["several", "one"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("alignment", ["next", "same"])
def test_packed_is_unpacked(alignment: str, attention: str, rows: Rows, parts: Path) -> None:
    own_tower = {"stages.instruct.supervision.semantic.target.own_tower": "false"}
    objective, dataset = build(parts, alignment=alignment, **own_tower)
    objective.vlm.set_attn_implementation(attention)
    batch = packed(dataset, SIX, rows)
    order = found_in(batch, collate(dataset, SIX))
    # `u0` and `u5`, of which pictures alone are read, are unlabelled.
    assert [SOURCES[source] for source in batch.pop("source")] == [SOURCES[SIX[index][0] == "u"] for index in order]
    assert len(batch["input_ids"]) < len(SIX) and "attention_mask" not in batch
    expected = objective(**collate(dataset, [SIX[index] for index in order]), by_row=True)
    expected["loss"].backward()
    expected_gradients = gradients(objective)
    objective.zero_grad()
    ours = objective(**batch, by_row=True)
    ours["loss"].backward()
    assert_close(ours.pop("rows"), expected.pop("rows"), atol=1e-5)
    assert_close(detached(ours), detached(expected), atol=1e-5)
    assert_close(gradients(objective), expected_gradients, atol=1e-5)


def test_flash_attention_gets_one_row_that_it_knows_as_packed(parts: Path) -> None:
    _, dataset = build(parts)
    assert rows_of("flash_attention_2") == "one"
    batch = packed(dataset, SIX, "one")
    assert batch["input_ids"].shape == (1, int(collate(dataset, SIX)["attention_mask"].sum()))
    # What transformers asks before it lets FlashAttention cut a row into sequences.
    assert _is_packed_sequence(batch["position_ids"], batch_size=1)
    lengths = batch["conversation"].unique(return_counts=True)[1]
    starts = (batch["position_ids"][0] == 0).nonzero()[:, 0]
    assert starts.tolist() == [0, *lengths.cumsum(0).tolist()[:-1]]


def detached(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in losses.items()}


def found_in(batch: dict[str, Any], plain: dict[str, Any]) -> list[int]:
    """Says which row of a plain batch each packed conversation is, by its ids; each is taken once."""
    rows = [ids[mask.bool()].tolist() for ids, mask in zip(plain["input_ids"], plain["attention_mask"], strict=True)]
    order: list[int] = []
    for number in range(len(rows)):
        ids = batch["input_ids"][batch["conversation"] == number].tolist()
        order.append(next(index for index, row in enumerate(rows) if row == ids and index not in order))
    assert (batch["conversation"] >= 0).sum() == plain["attention_mask"].sum()
    return order


def test_a_conversation_that_begins_with_a_visual_token_is_refused(parts: Path) -> None:
    _, dataset = build(parts)
    (sample,) = next(dataset[i] for i, one in enumerate(dataset.conversations) if one.id == "u0")
    one = sample.encoded
    headless = Encoded(one.input_ids[1:], one.labels[1:], one.visual_mask[1:], truncated=False)
    with pytest.raises(ValueError, match=r"conversation 'u0' begins with a visual token.*or do not pack"):
        PackingCollator(Collator(pad_token_id=0))([[replace(sample, encoded=headless)]])
