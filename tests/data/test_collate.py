from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from asvr.data.collate import Collator
from asvr.data.conversation import Conversation, Turn
from tests.data.samples import dataset

KEYS = {"input_ids", "attention_mask", "labels", "visual_mask", "targets"}


def conversations(folder: Path) -> list[Conversation]:
    """An image with text, text alone, an image alone, two images with text."""
    answer = Turn("assistant", "yes")
    names = [str(folder / f"{index}.png") for index in range(4)]
    return [
        Conversation("image", (names[0],), (Turn("user", "<image>\nIs it red?"), answer)),
        Conversation("text", (), (Turn("user", "Is there a blue triangle or not?"), answer)),
        Conversation("picture", (names[1],), ()),
        Conversation("pair", (names[2], names[3]), (Turn("user", "<image> or <image>?"), answer)),
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_leaves_the_same_tokens(
    side: Literal["left", "right"], image_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    samples = dataset(conversations(image_folder), tokenizer)
    groups = [samples[index] for index in range(4)]
    batch = Collator.for_tokenizer(tokenizer, padding_side=side)(groups)
    real = batch["attention_mask"].bool()
    for row, (sample,) in enumerate(groups):
        assert torch.equal(batch["input_ids"][row, real[row]], sample.encoded.input_ids)
        assert torch.equal(batch["labels"][row, real[row]], sample.encoded.labels)
        assert torch.equal(batch["visual_mask"][row, real[row]], sample.encoded.visual_mask)
    assert (batch["input_ids"][~real] == tokenizer.pad_token_id).all()
    assert (batch["labels"][~real] == -100).all() and not batch["visual_mask"][~real].any()
    edge = 0 if side == "right" else -1
    assert real[:, edge].all()


def test_images_are_gathered_in_reading_order(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    samples = dataset(conversations(image_folder), tokenizer)
    batch = Collator.for_tokenizer(tokenizer)([samples[index] for index in range(4)])
    # 0.png to 3.png are red, green, blue, white; green is stored as 128 of 255.
    expected = torch.tensor([[255, 0, 0], [0, 128, 0], [0, 0, 255], [255, 255, 255]]) / 255
    assert torch.equal(batch["pixel_values"].flatten(1), expected)
    assert torch.equal(batch["targets"]["semantic"], batch["pixel_values"])
    assert batch["visual_mask"].sum() == 3 * len(expected)
    assert batch.keys() == KEYS | {"pixel_values"}


def test_a_batch_without_images_has_no_pixel_values(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    batch = Collator.for_tokenizer(tokenizer)([dataset(conversations(image_folder), tokenizer)[1]])
    assert batch.keys() == KEYS
    assert batch["targets"] == {} and not batch["visual_mask"].any()


def test_a_batch_of_pictures_alone_has_no_labels(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    batch = Collator.for_tokenizer(tokenizer)([dataset(conversations(image_folder), tokenizer)[2]])
    assert (batch["labels"] == -100).all()
    assert batch["pixel_values"].shape == (1, 3, 1, 1)


def test_companions_follow_their_conversation(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    image, text, picture, _ = conversations(image_folder)
    samples = dataset([image, text], tokenizer, companions=[picture], companions_per_sample=1)
    batch = Collator.for_tokenizer(tokenizer)([samples[0], samples[1]])
    assert batch["visual_mask"].any(1).tolist() == [True, True, False, True]


def test_data_workers_give_the_same_batches(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    samples = dataset(conversations(image_folder), tokenizer, cache_bytes=1000)
    collator = Collator.for_tokenizer(tokenizer)
    here = list(DataLoader(samples, batch_size=2, collate_fn=collator))
    there = list(DataLoader(samples, batch_size=2, collate_fn=collator, num_workers=1))
    assert [batch["input_ids"].tolist() for batch in here] == [batch["input_ids"].tolist() for batch in there]


def test_a_tokenizer_without_padding_token_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>")
    with pytest.raises(ValueError, match="no padding token"):
        Collator.for_tokenizer(bare)
