import json
import shutil
from itertools import groupby
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from asvr.data.dataset import Source
from asvr.evaluation.answer import answer_questions
from asvr.evaluation.answer_file import ANSWERS, Answer, read_answers, read_complete
from asvr.evaluation.questions import make_batches, read_questions
from asvr.evaluation.score import write_scores

NUM_QUESTIONS = 11


def _answers(folder: Path) -> dict[str, Answer]:
    return {answer.id: answer for answer in read_answers(folder)}


@pytest.fixture
def answered(model_folder: Path, data: Path, image_folder: Path, tmp_path: Path) -> Path:
    answer_questions(model_folder, data, image_folder, tmp_path / "out", batch_size=4)
    return tmp_path / "out"


def test_every_answered_turn_is_a_question_put_alone_with_the_images_shown_by_then(data: Path, image_folder: Path):
    questions = {question.id: question for question in read_questions(Source(data, image_folder))}
    assert len(questions) == NUM_QUESTIONS
    assert (questions["r1"].images, questions["r1"].category) == (("1.png",), "exist")
    several = [questions[f"several#{number}"] for number in range(3)]
    assert [question.text for question in several] == [
        "<image>\nFirst?",
        "<image>\nAnd <image> this?",
        "<image><image>\nThird?",
    ]
    assert [question.images for question in several] == [("0.png",), ("0.png", "1.png"), ("0.png", "1.png")]
    assert [question.reference for question in several] == ["a", "b", "c"]


def test_batches_hold_every_question_once_those_about_the_same_pictures_side_by_side(data: Path, image_folder: Path):
    questions = read_questions(Source(data, image_folder))
    lengths = [len(question.text) for question in questions]
    batches = make_batches(questions, lengths, batch_size=4)
    assert [len(batch) for batch in batches] == [4, 4, 3]
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(NUM_QUESTIONS))
    groups = [list(group) for _, group in groupby(order, key=lambda index: questions[index].images or index)]
    assert len(groups) == len({one.images for one in questions if one.images}) + 2, "two are about no picture"
    assert all([lengths[index] for index in group] == sorted(lengths[index] for index in group) for group in groups)
    longest = [max(lengths[index] for index in group) for group in groups]
    assert longest == sorted(longest)


def test_answers_do_not_depend_on_the_batch(answered: Path, model_folder: Path, data: Path, image_folder: Path):
    alone = answered.parent / "alone"
    answer_questions(model_folder, data, image_folder, alone, batch_size=1)
    assert _answers(alone) == _answers(answered)
    texts = {answer.answer for answer in _answers(alone).values()}
    assert len(texts) > 3, "the model says the same to everything, so this test shows nothing"


def test_an_answer_is_what_stock_code_gives_with_the_saved_processor(
    answered: Path, model_folder: Path, image_folder: Path
):
    model = LlavaForConditionalGeneration.from_pretrained(model_folder)
    processor = AutoProcessor.from_pretrained(model_folder)
    for name in ("r2", "several#2", "text"):
        answer = _answers(answered)[name]
        first, *others = answer.question.split("<image>")
        parts = [{"type": "text", "text": first}]
        for other in others:
            parts += [{"type": "image"}, {"type": "text", "text": other}]
        messages = [{"role": "user", "content": [part for part in parts if part != {"type": "text", "text": ""}]}]
        text = processor.apply_chat_template(messages, add_generation_prompt=True)
        images = [Image.open(image_folder / image) for image in answer.images] or None
        inputs = processor(text=text, images=images, return_tensors="pt", add_special_tokens=False)
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=16)[0, inputs["input_ids"].shape[1] :]
        text = processor.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        assert text.removesuffix("</s>") == answer.answer


def test_a_run_cut_off_in_the_middle_of_a_line_ends_with_the_same_answers(
    answered: Path, model_folder: Path, data: Path, image_folder: Path
):
    whole = (answered / ANSWERS).read_bytes()
    for cut in (0, 7, len(whole) // 2, len(whole) - 1):
        (answered / ANSWERS).write_bytes(whole[:cut])
        answer_questions(model_folder, data, image_folder, answered, batch_size=4)
        assert (answered / ANSWERS).read_bytes() == whole


def test_a_finished_evaluation_is_not_repeated(answered: Path, model_folder: Path, data: Path, image_folder: Path):
    before = (answered / ANSWERS).stat().st_mtime_ns
    answer_questions(model_folder, data, image_folder, answered, batch_size=4)
    assert (answered / ANSWERS).stat().st_mtime_ns == before


def test_other_questions_or_another_model_are_not_added(
    answered: Path, model_folder: Path, data: Path, image_folder: Path, tmp_path: Path
):
    with pytest.raises(ValueError, match=r"prompt_hash was .*max_new_tokens was 16 and is 5"):
        answer_questions(model_folder, data, image_folder, answered, max_new_tokens=5)
    with pytest.raises(ValueError, match="limit was None and is 2"):
        answer_questions(model_folder, data, image_folder, answered, limit=2)
    trained_on = tmp_path / "trained_on"
    shutil.copytree(model_folder, trained_on)
    model = LlavaForConditionalGeneration.from_pretrained(trained_on)
    with torch.no_grad():
        model.lm_head.weight[0] += 1
    model.save_pretrained(trained_on)
    with pytest.raises(ValueError, match="model_hash was"):
        answer_questions(trained_on, data, image_folder, answered)


def test_the_limit_takes_the_first_questions(model_folder: Path, data: Path, image_folder: Path, tmp_path: Path):
    answer_questions(model_folder, data, image_folder, tmp_path / "out", limit=2)
    header, answers = read_complete(tmp_path / "out")
    assert {answer.id for answer in answers} == {"r0", "r1"}
    assert (header.limit, header.num_questions) == (2, 2)


def test_scores_lie_beside_the_answers_with_their_provenance(answered: Path):
    scores = write_scores(answered)
    content = json.loads((answered / "scores.json").read_text())
    assert content["scores"]["num_questions"] == {"all": 5, "count": 3, "exist": 3}
    assert content["scores"]["average"] == scores.average
    assert content["provenance"] == json.loads((answered / "answers.meta.json").read_text())
    assert set(content["provenance"]["versions"]) == {"asvr", "torch", "transformers"}


def test_unfinished_answers_are_not_scored(answered: Path):
    lines = (answered / ANSWERS).read_text().splitlines(keepends=True)
    (answered / ANSWERS).write_text("".join(lines[:-1]))
    with pytest.raises(ValueError, match="10 of 11 questions are answered"):
        write_scores(answered)


def test_a_broken_line_in_the_middle_is_refused_by_its_number(answered: Path):
    with open(answered / ANSWERS, "a") as file:
        file.write("{}\n")
    with pytest.raises(ValueError, match="line 12 is not an answer"):
        read_answers(answered)


def test_a_missing_model_folder_is_said_to_be_missing(data: Path, image_folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere: no model here"):
        answer_questions(tmp_path / "nowhere", data, image_folder, tmp_path / "out")


def test_missing_data_are_said_to_be_missing(model_folder: Path, data: Path, image_folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        answer_questions(model_folder, tmp_path / "nothing.json", image_folder, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nothing"):
        answer_questions(model_folder, data, tmp_path / "nothing", tmp_path / "out")


def test_a_model_without_a_chat_template_is_refused(model_folder: Path, data: Path, image_folder: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    shutil.copytree(model_folder, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="must have one chat template"):
        answer_questions(bare, data, image_folder, tmp_path / "out")


def test_a_model_whose_answers_would_never_end_is_refused(
    model_folder: Path, data: Path, image_folder: Path, tmp_path: Path
):
    endless = tmp_path / "endless"
    shutil.copytree(model_folder, endless)
    path = endless / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": None}))
    with pytest.raises(ValueError, match="no `eos_token_id`"):
        answer_questions(endless, data, image_folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"max_new_tokens": 0}, "longest answer is 0"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_sizes_below_one_are_refused(
    option: dict[str, int], message: str, model_folder: Path, data: Path, image_folder: Path, tmp_path: Path
):
    with pytest.raises(ValueError, match=message):
        answer_questions(model_folder, data, image_folder, tmp_path / "out", **option)
    assert not (tmp_path / "out").exists()


def test_records_without_a_question_are_refused(model_folder: Path, image_folder: Path, tmp_path: Path):
    path = tmp_path / "pictures.json"
    path.write_text(json.dumps([{"id": "a", "image": "0.png"}]))
    with pytest.raises(ValueError, match="no record has a question"):
        answer_questions(model_folder, path, image_folder, tmp_path / "out")


def test_real_questions_are_read_with_their_pictures(nlvr: Path):
    questions = read_questions(Source(nlvr / "eval_statements.json", nlvr / "images"), limit=20)
    assert len(questions) == 20
    assert all(len(question.images) == 3 and question.category == "statement" for question in questions)
