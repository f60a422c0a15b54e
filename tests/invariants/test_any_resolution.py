"""AnyRes from records to answers: targets of every crop, batches and their parts, training, saving, evaluating."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaNextForConditionalGeneration

from asvr.data.collate import Collator
from asvr.data.dataset import ConversationDataset, Source, load_source
from asvr.data.images import open_image
from asvr.derive import derive
from asvr.evaluation.answer import answer_questions
from asvr.evaluation.answer_file import read_answers
from asvr.models.grids import image_layout
from asvr.objective import Objective
from asvr.recipes import RECIPES
from asvr.studies.reconstruction import read_codes
from asvr.targets.tokenizer import VisualTokenizer
from asvr.training.prepare import build_dataset
from asvr.training.stage import build_objective
from tests.invariants.batches import assert_close, losses_and_gradients
from tests.parts import pictures, shrink, talk
from tests.training.runs import train

ASVR = "asvr-anyres-next-vicuna-7b"
SIZES = [(30, 30), (20, 70), (60, 24), (80, 75)]
"""Heights and widths: 2x2, 1x3, 3x1 and 3x3 tiles of the tiny tower's 24 pixels."""
STAGES = ("pretrain", "instruct")
ROOM = {f"stages.{stage}.max_length": "512" for stage in STAGES}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions and questions about pictures of several sizes; one with two pictures, one with none."""
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "images").mkdir()
    for index, ((height, width), picture) in enumerate(zip(SIZES, pictures(4), strict=True)):
        picture.resize((width, height), Image.Resampling.NEAREST).save(folder / "images" / f"{index}.png")
    captions = [talk(f"c{index}", "<image>\nDescribe.", "a box", image=f"{index % 4}.png") for index in range(8)]
    questions = [talk(f"q{index}", "<image>\nWhich colour?", "red", image=f"{index}.png") for index in range(4)]
    several = talk("two", "<image><image>\nAre both red?", "no", image=["2.png", "0.png"])
    instruct = [*questions, several, talk("text", "Is there a blue triangle?", "yes")]
    for name, content in (("captions", captions), ("instruct", instruct)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def build(parts: Path, records: Path, **changes: str) -> tuple[Objective, ConversationDataset]:
    recipe = shrink(ASVR, parts, **ROOM, **changes)
    stage = recipe.stage("instruct")
    objective, processor = build_objective(recipe, stage, None, seed=0)
    read = load_source(Source(records / "instruct.json", records / "images"))
    return objective, build_dataset(stage, objective, processor, conversations=read, companions=[], seed=0)


def collate(dataset: ConversationDataset, ids: list[str]) -> dict[str, Any]:
    index = {one.id: number for number, one in enumerate(dataset.conversations)}
    return Collator.for_tokenizer(dataset.encode.processor.tokenizer)([dataset[index[one]] for one in ids])


@pytest.mark.parametrize("alignment", ["next", "same"])
def test_one_tower_gives_the_losses_and_gradients_of_two(alignment: str, parts: Path, records: Path) -> None:
    ids = ["q3", "text", "two", "q1"]
    own, dataset = build(parts, records, alignment=alignment)
    second = {"stages.instruct.supervision.semantic.target.own_tower": "false"}
    two, other = build(parts, records, alignment=alignment, **second)
    batch, theirs = collate(dataset, ids), collate(other, ids)
    # 10, 4 + 5 and 4 crops: nothing of the pictures for the own tower, all of their pixels for the second one.
    assert batch["targets"]["semantic"].shape == (23, 0)
    assert theirs["targets"]["semantic"].shape == (23, 3, 24, 24)
    losses, gradients = losses_and_gradients(own, batch)
    expected, grown = losses_and_gradients(two, theirs)
    assert losses.keys() == expected.keys() and all(torch.equal(losses[name], expected[name]) for name in losses)
    assert gradients.keys() == grown.keys() and all(torch.equal(gradients[name], grown[name]) for name in grown)


def test_every_token_has_a_target_but_the_row_ends(parts: Path, records: Path) -> None:
    objective, dataset = build(parts, records)
    ids = ["q0", "q1", "q2", "q3", "text"]
    batch = collate(dataset, ids)
    layouts = [image_layout(objective.vlm.config, size) for size in SIZES]
    image_tokens = (batch["input_ids"] == objective.vlm.config.image_token_id).sum(1).tolist()
    assert image_tokens == [*(layout.num_tokens for layout in layouts), 0]
    # 2 x 2 of the whole, then the tiles' rows without padding: 4 x 4, 2 x 6 of which 20 of 70 fill 2, 6 x 2, 6 x 6.
    assert batch["visual_mask"].sum(1).tolist() == [4 + 16, 4 + 12, 4 + 12, 4 + 36, 0]
    assert batch["pixel_values"].shape == (4, 10, 3, 24, 24) and batch["image_sizes"].tolist() == [*map(list, SIZES)]
    assert len(batch["target_index"]) == batch["visual_mask"].sum()


def test_a_batch_is_the_sum_of_its_rows_alone(parts: Path, records: Path) -> None:
    objective, dataset = build(parts, records)
    ids = ["q1", "two", "text", "q3", "q0"]
    together = objective(**collate(dataset, ids), by_row=True)["rows"]
    for row, one in enumerate(ids):
        alone = objective(**collate(dataset, [one]), by_row=True)["rows"]
        assert_close({name: values[row] for name, values in together.items()}, {k: v[0] for k, v in alone.items()})


def test_a_batch_without_pictures_reaches_everything_that_a_picture_does(parts: Path, records: Path) -> None:
    objective, dataset = build(parts, records)
    objective.train()
    batch = collate(dataset, ["text"])
    losses, gradients = losses_and_gradients(objective, batch)
    stock = objective.vlm(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    torch.testing.assert_close(losses["loss"], stock, rtol=1e-6, atol=0)
    newline = gradients["vlm.model.image_newline"]
    assert newline.shape == (32,) and not newline.any()
    assert not gradients["vlm.model.multi_modal_projector.linear_1.weight"].any()


def test_data_workers_can_be_given_what_prepares_pictures(parts: Path, records: Path) -> None:
    second = {"stages.instruct.supervision.semantic.target.own_tower": "false"}
    for changes in ({}, second):
        _, dataset = build(parts, records, **changes)
        path = records / "images" / "1.png"
        here, there = (one(path, record="a") for one in (dataset.images, pickle.loads(pickle.dumps(dataset.images))))
        assert torch.equal(here.inputs["pixel_values"], there.inputs["pixel_values"])
        assert torch.equal(here.targets["semantic"], there.targets["semantic"])


@pytest.fixture(scope="module")
def run(parts: Path, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(ASVR, parts, tmp_path_factory.mktemp("anyres") / "run", records=records, **ROOM).parent


def test_both_stages_train_the_row_end_and_save_a_stock_llava_next(run: Path, parts: Path, records: Path) -> None:
    fresh, _ = build(parts, records)
    first, last = (AutoModelForImageTextToText.from_pretrained(run / stage / "model") for stage in STAGES)
    assert type(last) is LlavaNextForConditionalGeneration
    row_ends = [one.model.image_newline for one in (fresh.vlm, first, last)]
    assert not torch.equal(row_ends[0], row_ends[1]) and not torch.equal(row_ends[1], row_ends[2])
    for stage, prefixes in (("pretrain", 3), ("instruct", 5)):
        trained = json.loads((run / stage / "stage.json").read_text())["trained_parameters"]
        assert trained["vlm.model.image_newline"] == 32 and len(trained) == prefixes


def test_answers_are_those_of_stock_code_with_the_saved_processor(run: Path, records: Path, tmp_path: Path) -> None:
    folder = run / "instruct" / "model"
    answer_questions(folder, records / "instruct.json", records / "images", tmp_path, batch_size=4, max_new_tokens=8)
    answers = {answer.id: answer for answer in read_answers(tmp_path)}
    assert len({answer.answer for answer in answers.values()}) > 3, "the same to everything would show nothing"
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    for name in ("q1", "two", "text"):
        images = [Image.open(records / "images" / image) for image in answers[name].images] or None
        messages = [{"role": "user", "content": answers[name].question}]
        text = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(text=text, images=images, return_tensors="pt", add_special_tokens=False)
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
        expected = processor.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        assert expected.removesuffix("</s>") == answers[name].answer


def test_reconstruction_is_measured_on_whole_pictures(run: Path, parts: Path, records: Path) -> None:
    paths = [records / "images" / f"{index}.png" for index in range(4)]
    codes, guessed, _ = read_codes(shrink(ASVR, parts, **ROOM), run / "instruct", paths, seed=0)
    tokenizer = VisualTokenizer.from_pretrained(parts / "tokenizer")
    expected = tokenizer.encode(torch.stack([tokenizer.prepare(open_image(path, record="a")) for path in paths]))
    assert torch.equal(codes, expected) and guessed.shape == codes.shape


def test_a_picture_that_does_not_fit_is_refused_by_its_record(parts: Path, records: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"conversation 'c3': 4\d of its .* images whole .* the limit is 40\. Raise"):
        train(ASVR, parts, tmp_path / "run", records=records, **{"stages.pretrain.max_length": "40"})
    assert not (tmp_path / "run").exists()


def test_a_cache_of_whole_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cache codes holds codes of whole pictures.* set target\.cache=none"):
        derive(RECIPES[ASVR], {"stages.instruct.supervision.semantic.target.cache": "codes"})
