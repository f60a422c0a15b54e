import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    BertConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    VisionEncoderDecoderConfig,
    ViTConfig,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.utils.import_utils import is_torchvision_available

from asvr.data.images import open_image
from asvr.data.template import encode_prompt
from asvr.data.templates import TEMPLATES
from asvr.evaluation.answer import answer_questions
from asvr.evaluation.answer_file import read_answers
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.model_folder import find_model
from asvr.training.prepare import load_vlm
from tests.evaluation.families import FAMILIES, make_tokenizer, write_family
from tests.parts import shrink

QUESTIONS = ["<image>\nHi?", "<image>\nWhat is in this picture?\nOne word.", "<image>\nHow many?"]
PICTURES = [[Image.linear_gradient("L").convert("RGB").resize(size)] for size in ((30, 20), (20, 60), (55, 50))]
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(request.param, tmp_path_factory.mktemp("family") / request.param)


# PaliGemma's processor makes an array of a tensor.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_answers_are_those_of_stock_code_one_by_one(family: Path):
    processor, model = ChatProcessor(family), GreedyModel(family, device=CPU)
    said = [processor.decode(ids) for ids in model(processor(QUESTIONS, PICTURES), max_new_tokens=8)]
    assert len(set(said)) > 1, "the model says the same to everything, so this test shows nothing"
    alone = [
        processor.decode(model(processor([question], [shown]), max_new_tokens=8)[0])
        for question, shown in zip(QUESTIONS, PICTURES, strict=True)
    ]
    assert alone == said
    stock, stock_processor = AutoModelForImageTextToText.from_pretrained(family), AutoProcessor.from_pretrained(family)
    for question, shown, answer in zip(QUESTIONS, PICTURES, said, strict=True):
        text = question.removeprefix("<image>\n") if family.name == "llava" else question.removeprefix("<image>")
        parts = [{"type": "image", "image": shown[0]}, {"type": "text", "text": text}]
        inputs = stock_processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        inputs.pop("labels", None)
        ids = stock.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
        expected = stock_processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert answer == expected


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - {"plain"}))
def test_a_llava_of_ours_reads_what_it_was_trained_to_read(
    name: str, model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
):
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(TEMPLATES[name])
    processor = ChatProcessor(folder)
    made = processor(QUESTIONS, PICTURES)
    for question, ids, mask in zip(QUESTIONS, made["input_ids"], made["attention_mask"], strict=True):
        expected = encode_prompt(
            question, tokenizer, chat_template=TEMPLATES[name], image_token="<image>", tokens_per_image=[4]
        )
        assert torch.equal(ids[mask.bool()], expected)


@pytest.mark.parametrize("name", ["llava-vicuna-7b", "llava-discrete-vicuna-7b", "llava-s2-next-vicuna-7b"])
def test_models_of_ours_answer_as_they_do_to_records(name: str, parts: Path, tmp_path: Path):
    vlm, processor = load_vlm(shrink(name, parts), None, seed=0)
    processor.chat_template = TEMPLATES["vicuna_v1"]
    vlm.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    records = parts / "records"
    answer_questions(
        tmp_path / "model", records / "eval.json", records / "images", tmp_path / "answers", max_new_tokens=6
    )
    expected = read_answers(tmp_path / "answers")
    chat, model = ChatProcessor(tmp_path / "model"), GreedyModel(tmp_path / "model", device=CPU)
    pictures = [[open_image(records / "images" / answer.images[0], record=answer.id)] for answer in expected]
    inputs = chat([answer.question for answer in expected], pictures)
    said = [chat.tokenizer.decode(ids) for ids in model(inputs, max_new_tokens=6)]
    assert said == [answer.answer for answer in expected] and len(set(said)) > 1


def test_a_line_break_that_the_template_writes_is_not_written_twice(tmp_path: Path):
    llava = ChatProcessor(write_family("llava", tmp_path / "llava"))
    assert llava.render(QUESTIONS[0]) == "USER: <image>\nHi? ASSISTANT:"
    llava_next = ChatProcessor(write_family("llava_next", tmp_path / "llava_next"))
    assert llava_next.render(QUESTIONS[0]) == "<s>[INST] <image>\nHi? [/INST]"


def test_special_tokens_in_a_question_are_no_structure(model_folder: Path):
    processor = ChatProcessor(model_folder)
    assert processor.defuse("<image>\nWhat does </s> or <|im_end|> mean?") == (
        "<image>\nWhat does < /s> or < |im_end|> mean?"
    )
    ids = processor(["<image>\nIs it </s>?"], PICTURES[:1])["input_ids"][0]
    assert processor.tokenizer.eos_token_id not in ids


def test_what_cannot_be_asked_is_refused_by_name(model_folder: Path, tmp_path: Path):
    bare = Path(shutil.copytree(model_folder, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="bare: neither processor nor tokenizer has a chat template"):
        ChatProcessor(bare)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ValueError, match="text: its processor cannot be loaded"):
        ChatProcessor(tmp_path / "text")
    SiglipImageProcessorPil().save_pretrained(tmp_path / "pictures")
    with pytest.raises(ValueError, match="pictures: has no processor, only a SiglipImageProcessorPil"):
        ChatProcessor(tmp_path / "pictures")


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is here")
def test_a_processor_of_films_says_what_it_lacks(tmp_path: Path):
    make_tokenizer("<|im_end|>", "<|image_pad|>", eos_token="<|im_end|>").save_pretrained(tmp_path)
    Qwen2VLConfig().save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "Qwen2VLProcessor"}))
    Qwen2VLImageProcessorPil().save_pretrained(tmp_path / "pictures")
    shutil.copy(tmp_path / "pictures" / "preprocessor_config.json", tmp_path)
    with pytest.raises(ValueError, match="its processor needs torchvision"):
        ChatProcessor(tmp_path)


def test_models_of_another_kind_are_refused(tmp_path: Path):
    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="a 'bert' model is not one that transformers loads as a vision-language"):
        GreedyModel(tmp_path / "bert", device=CPU)
    VisionEncoderDecoderConfig(encoder=ViTConfig().to_dict(), decoder=BertConfig().to_dict()).save_pretrained(
        tmp_path / "captions"
    )
    with pytest.raises(ValueError, match="reads its prompt with an encoder"):
        GreedyModel(tmp_path / "captions", device=CPU)


def test_a_model_that_is_nowhere_is_said_to_be_nowhere(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        find_model(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nobody/nothing: no folder of this name, and no such model could"):
        find_model("nobody/nothing")
    with pytest.raises(FileNotFoundError, match="too/many/parts: no folder of this name"):
        find_model("too/many/parts")
