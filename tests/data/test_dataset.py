import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from asvr.data.conversation import Conversation, Turn
from asvr.data.dataset import Source, load_source, token_report
from tests.data.samples import dataset, encoder

QA = [{"from": "human", "value": "<image>\nWhich colour?"}, {"from": "gpt", "value": "red"}]
FILES = ("eval_instruct", "eval_statements", "train_captions", "train_instruct", "train_statements", "unlabelled")


def source(folder: Path, records: list[dict[str, Any]]) -> Source:
    (folder.parent / "data.json").write_text(json.dumps(records))
    return Source(folder.parent / "data.json", folder)


def pictures(folder: Path, *indices: int) -> list[Conversation]:
    return [Conversation(f"p{index}", (str(folder / f"{index}.png"),), ()) for index in indices]


def test_loaded_conversations_open_from_anywhere(image_folder: Path) -> None:
    (one,) = load_source(source(image_folder, [{"id": "a", "image": "0.png", "conversations": QA}]))
    assert one.images == (str(image_folder / "0.png"),)


def test_missing_images_are_counted_and_the_first_is_named(image_folder: Path) -> None:
    records = [{"id": str(index), "image": f"{index}.png"} for index in range(6)]
    with pytest.raises(FileNotFoundError, match=r"2 image file\(s\) .* first is '4.png' of record '4'"):
        load_source(source(image_folder, records))


def test_records_with_missing_images_can_be_skipped(image_folder: Path) -> None:
    records = [{"id": str(index), "image": f"{index}.png"} for index in range(6)]
    reasons: list[str] = []
    kept = load_source(source(image_folder, records), skip_bad=True, on_skip=reasons.append)
    assert [one.id for one in kept] == ["0", "1", "2", "3"]
    assert ["'4.png'" in reasons[0], "'5.png'" in reasons[1], len(reasons)] == [True, True, 2]


def test_a_wrong_folder_is_refused_even_when_skipping(image_folder: Path) -> None:
    data = source(image_folder, [{"id": "a", "image": "elsewhere/0.png"}])
    with pytest.raises(FileNotFoundError, match="Is this the right image folder"):
        load_source(data, skip_bad=True)
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        load_source(replace(data, images=image_folder / "none"))
    with pytest.raises(ValueError, match="no image folder is given"):
        load_source(replace(data, images=None))


def test_text_alone_needs_no_folder(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    text = [{"from": "human", "value": "Which?"}, QA[1]]
    data = replace(source(image_folder, [{"id": "a", "conversations": text}]), images=None)
    ((sample,),) = [dataset(load_source(data), tokenizer)[0]]
    assert (sample.id, sample.images) == ("a", ())


def test_images_come_in_the_order_of_their_markers(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    names = tuple(str(image_folder / f"{index}.png") for index in (2, 0))
    turns = (Turn("user", "<image><image> Which?"), Turn("assistant", "blue"))
    (sample,) = dataset([Conversation("a", names, turns)], tokenizer)[0]
    # 2.png is blue, 0.png is red.
    assert [image.inputs["pixel_values"].flatten().tolist() for image in sample.images] == [[0, 0, 1], [1, 0, 0]]
    assert all(torch.equal(image.targets["semantic"][0], image.inputs["pixel_values"]) for image in sample.images)


def test_companions_ride_along_without_moving_the_conversations(
    image_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    conversations, companions = pictures(image_folder, 0, 1, 2), pictures(image_folder, 1, 2, 3)
    alone = dataset(conversations, tokenizer)
    riding = dataset(conversations, tokenizer, companions=companions, companions_per_sample=2, seed=5)
    assert [riding[index][0].id for index in range(3)] == [alone[index][0].id for index in range(3)]
    assert len(riding) == len(alone) == 3
    ridden = [sample.id for index in range(3) for sample in riding[index][1:]]
    # Six places for three companions: each rides twice, in the same order both times.
    assert sorted(ridden[:3]) == ["p1", "p2", "p3"] and ridden[3:] == ridden[:3]


def test_the_seed_decides_the_companions(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    def first(seed: int) -> str:
        companions = [replace(pictures(image_folder, 0)[0], id=str(number)) for number in range(1000)]
        one = dataset(pictures(image_folder, 0), tokenizer, companions=companions, companions_per_sample=1, seed=seed)
        return one[0][1].id

    assert first(1) == first(1) != first(2)


def test_companions_without_a_number_are_refused(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="1 companions with 0 per sample"):
        dataset(pictures(image_folder, 0), tokenizer, companions=pictures(image_folder, 1))


def test_the_report_counts_every_token_once(image_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    data = source(image_folder, [{"id": "qa", "image": "0.png", "conversations": QA}, {"id": "p", "image": "1.png"}])
    conversations = load_source(data)
    report, lengths = token_report(conversations, encoder(tokenizer))
    length = len(encoder(tokenizer)(conversations[0]).input_ids)
    answer = len(tokenizer(" red</s>", add_special_tokens=False)["input_ids"])
    # Three visual tokens for each picture; the picture alone has a start token besides.
    assert report == {
        "samples": 2,
        "images": 2,
        "visual_tokens": 6,
        "text_tokens": length - 3 + 1,
        "supervised_tokens": answer,
        "truncated_samples": 0,
        "longest_sample": length,
        "longest_id": "qa",
    }
    assert lengths == [length, 4]


@pytest.mark.parametrize("name", FILES)
def test_real_records_are_read_and_their_answers_learnt(
    name: str, nlvr: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    records = json.loads((nlvr / f"{name}.json").read_text())
    (tmp_path / "part.json").write_text(json.dumps(records[:: len(records) // 200]))
    conversations = load_source(Source(tmp_path / "part.json", nlvr / "images"))
    samples = dataset(conversations, tokenizer)
    for index in range(len(samples)):
        (sample,) = samples[index]
        conversation = conversations[index]
        learnt = tokenizer.decode(sample.encoded.labels[sample.encoded.labels != -100])
        assert learnt == "".join(f" {turn.text}</s>" for turn in conversation.turns[1::2])
        assert sample.encoded.visual_mask.sum() == 3 * len(conversation.images)
        assert len(sample.images) == len(conversation.images)
