"""Pictures encoded and read once against the stock way, question by question: the same answers, to the last token."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    Gemma3Config,
    LlavaConfig,
    LlavaNextConfig,
    MptConfig,
    Qwen2Config,
)

from asvr.data.dataset import Source
from asvr.data.templates import TEMPLATES
from asvr.evaluation.answer import encode_questions
from asvr.evaluation.answering import make_inputs
from asvr.evaluation.chat_pictures import ChatPictures
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.greedy import GreedyModel, load_image_preparation
from asvr.evaluation.prompt_batch import PromptBatch, cut_by_tokens
from asvr.evaluation.questions import Question, QuestionSet, read_questions
from asvr.evaluation.shared_pictures import SharedPictures, can_share
from asvr.training.prepare import load_vlm
from tests.evaluation.families import write_family
from tests.parts import shrink

CPU = torch.device("cpu")
SIZES = {"wide": (60, 20), "tall": (20, 60), "square": (50, 50)}
ASKED = [
    ("wide", "<image>\nHi?"),
    ("wide", "<image>\nWhat is in this picture, and what is not?\nOne word."),
    ("tall", "<image>\nHow many?"),
    ("wide tall", "<image><image>\nWhich of them?"),
    ("square", "Before <image> and after."),
    ("tall square", "<image>\nand <image>\nare these the same?"),
    ("square", "<image>\nHow many?"),
    ("square", "<image>\nHow many?"),
    ("", "And without a picture?"),
]
NEW_TOKENS = 20
OURS = ("llava-vicuna-7b", "llava-discrete-vicuna-7b", "llava-s2-next-vicuna-7b")


def draw(size: tuple[int, int]) -> bytes:
    buffer = BytesIO()
    Image.linear_gradient("L").convert("RGB").resize(size).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {name: draw(size) for name, size in SIZES.items()}
QUESTIONS = tuple(
    Question(str(number), "", tuple(shown.split()), text, "") for number, (shown, text) in enumerate(ASKED)
)
ASKED_SET = QuestionSet(QUESTIONS, FILES.__getitem__, {}, "")


@pytest.fixture(scope="module", params=["llava", "llava_next", *OURS])
def folder(request: pytest.FixtureRequest, parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shared") / request.param
    if request.param not in OURS:
        return write_family(request.param, path)
    vlm, processor = load_vlm(shrink(request.param, parts), None, seed=0)
    with torch.no_grad():
        # The answers of weights of the usual scale hardly depend on the question.
        for parameter in vlm.model.language_model.parameters():
            parameter *= 15 if parameter.dim() == 2 else 1
    processor.chat_template = TEMPLATES["vicuna_v1"]
    vlm.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def load(folder: Path) -> GreedyModel:
    """A model to which every ninth token is an end, so that its answers have many lengths."""
    greedy = GreedyModel(folder, device=CPU)
    greedy.ends = list(range(5, greedy.model.config.text_config.vocab_size, 9))
    return greedy


class Counted:
    """Counts the pictures, or crops of them, that a vision tower sees."""

    def __init__(self, greedy: GreedyModel) -> None:
        self.seen = 0
        greedy.model.model.vision_tower.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, module: torch.nn.Module, arguments: tuple, options: dict) -> None:
        self.seen += len((*arguments, *options.values())[0])


def answer_alone(question: Question, greedy: GreedyModel, chat: ChatProcessor, max_new_tokens: int) -> list[int]:
    """By stock `generate`, and with the stock processor, which takes no prompt without a picture."""
    if question.images:
        return greedy(make_inputs([question], ASKED_SET, chat), max_new_tokens=max_new_tokens)[0]
    inputs = ChatPictures(chat, ASKED_SET)([question]).inputs(pad_token_id=greedy.ends[0])
    return greedy(inputs, max_new_tokens=max_new_tokens)[0]


def test_answers_to_a_benchmark_are_those_of_stock_code_one_by_one(folder: Path):
    chat, greedy = ChatProcessor(folder), load(folder)
    counted = Counted(greedy)
    alone = [answer_alone(one, greedy, chat, NEW_TOKENS) for one in QUESTIONS]
    seen_alone, counted.seen = counted.seen, 0
    prepare, answer = ChatPictures(chat, ASKED_SET), SharedPictures(greedy)
    assert answer.shares
    cuts = (QUESTIONS[:3], QUESTIONS[3:6], QUESTIONS[6:7], QUESTIONS[7:])
    assert [said for cut in cuts for said in answer(prepare(cut), max_new_tokens=NEW_TOKENS)] == alone
    assert len({tuple(said) for said in alone}) > 3, "the model says the same to everything, so this test shows nothing"
    assert len({len(said) for said in alone}) > 2, "all answers are equally long, so this test shows little"
    # "wide" and "tall" in the first batch; each later batch knows its pictures from the one before, but for "square".
    crops = {name: seen_by_itself(folder, name) for name in SIZES}
    assert counted.seen == sum(crops.values())
    assert seen_alone == sum(crops[name] for one in QUESTIONS for name in one.images)


@pytest.mark.parametrize("family", ["llava", "llava_next"])
@pytest.mark.parametrize(("max_new_tokens", "every"), [(1, 9), (5, 9), (5, 1), (5, 10**6)])
def test_answers_that_end_together_are_those_one_by_one(family: str, max_new_tokens: int, every: int, tmp_path: Path):
    """All end at once: at the first token, or at the limit."""
    folder = write_family(family, tmp_path)
    chat, greedy = ChatProcessor(folder), GreedyModel(folder, device=CPU)
    greedy.ends = list(range(5 % every, greedy.model.config.text_config.vocab_size, every))
    alone = [answer_alone(one, greedy, chat, max_new_tokens) for one in QUESTIONS]
    batch = ChatPictures(chat, ASKED_SET)(QUESTIONS)
    assert SharedPictures(greedy)(batch, max_new_tokens=max_new_tokens) == alone
    lengths = {len(said) for said in alone}
    assert lengths == ({0} if every == 1 else {max_new_tokens}) if every != 9 else max(lengths) == max_new_tokens


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_prompts_read_in_groups_are_answered_as_one_by_one(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_family(family, tmp_path)
    chat, greedy = ChatProcessor(folder), load(folder)
    monkeypatch.setattr("asvr.evaluation.prompt_batch.TOGETHER", 80)
    answer = SharedPictures(greedy)
    batch = ChatPictures(chat, ASKED_SET)(QUESTIONS)
    rest = sorted(len(prompt) - answer._end_of_beginning(prompt) for prompt in batch.prompts)
    assert len(cut_by_tokens(rest)) > 2, "this test shows nothing: everything is read at once"
    alone = [answer_alone(one, greedy, chat, NEW_TOKENS) for one in QUESTIONS]
    assert answer(batch, max_new_tokens=NEW_TOKENS) == alone


def test_a_batch_begins_with_what_the_one_before_read_last(tmp_path: Path):
    folder = write_family("llava", tmp_path)
    greedy = load(folder)
    prepare, answer = ChatPictures(ChatProcessor(folder), ASKED_SET), SharedPictures(greedy)
    tokens: list[int] = []
    greedy.model.model.language_model.register_forward_pre_hook(
        lambda module, arguments, options: tokens.append(options["inputs_embeds"].shape[:2].numel()), with_kwargs=True
    )
    batches = [prepare([question]) for question in QUESTIONS[6:8]]
    ends = [answer._end_of_beginning(batch.prompts[0]) for batch in batches]
    for batch in batches:
        answer(batch, max_new_tokens=1)
    rest = [len(batch.prompts[0]) - end for batch, end in zip(batches, ends, strict=True)]
    assert tokens == [ends[0], rest[0], rest[1]]
    answer.forget()
    answer(batches[1], max_new_tokens=1)
    assert tokens[3:] == [ends[1], rest[1]]


def seen_by_itself(folder: Path, name: str) -> int:
    greedy = GreedyModel(folder, device=CPU)
    counted = Counted(greedy)
    asked = replace(QUESTIONS[0], images=(name,))
    greedy(make_inputs([asked], ASKED_SET, ChatProcessor(folder)), max_new_tokens=1)
    return counted.seen


def test_answers_to_records_are_those_of_one_batch_without_sharing(model_folder: Path, data: Path, image_folder: Path):
    questions = read_questions(Source(data, image_folder))
    prompts = encode_questions(questions, model_folder, image_folder)
    prepare = load_image_preparation(model_folder, cache_bytes=0)
    pictures = {f"{number}.png": prepare(image_folder / f"{number}.png", record="").inputs for number in range(4)}
    batch = PromptBatch(prompts, [question.images for question in questions], pictures)
    greedy = load(model_folder)
    ordinary = greedy(batch.inputs(pad_token_id=greedy.ends[0]), max_new_tokens=NEW_TOKENS)
    assert len({len(said) for said in ordinary}) > 2
    assert any(not question.images for question in questions)
    assert SharedPictures(greedy)(batch, max_new_tokens=NEW_TOKENS) == ordinary


def test_prompts_that_end_with_a_picture_are_answered_the_ordinary_way(model_folder: Path, image_folder: Path):
    prepare = load_image_preparation(model_folder, cache_bytes=0)
    pictures = {name: prepare(image_folder / name, record="").inputs for name in ("0.png", "1.png")}
    greedy = GreedyModel(model_folder, device=CPU)
    image, start = greedy.model.config.image_token_id, greedy.model.config.text_config.bos_token_id
    prompt = torch.tensor([start, *[image] * 4])
    batch = PromptBatch([prompt, prompt], [(name,) for name in pictures], pictures)
    ordinary = greedy(batch.inputs(pad_token_id=greedy.ends[0]), max_new_tokens=4)
    assert SharedPictures(greedy)(batch, max_new_tokens=4) == ordinary


def test_only_models_to_which_a_gap_is_nothing_share(model_folder: Path):
    known = AutoConfig.from_pretrained(model_folder)
    assert can_share(known)
    assert can_share(LlavaConfig(text_config=Qwen2Config(sliding_window=8), vision_config=known.vision_config))
    windowed = Qwen2Config(sliding_window=8, use_sliding_window=True, max_window_layers=0)
    assert not can_share(LlavaConfig(text_config=windowed, vision_config=known.vision_config))
    assert not can_share(LlavaNextConfig(text_config=MptConfig(), vision_config=known.vision_config))
    assert not can_share(Gemma3Config())
