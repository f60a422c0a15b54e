"""Answers per second of `asvr evaluate`, beside one question at a time through stock `generate`.

    python benchmarks/generate.py [--share 600] [--rounds 3] [--tokens N] [--out benchmarks/generate.json]

The questions are a six-hundredth of each of the paper's fourteen benchmarks, with as many pictures as a benchmark has
for so many, and answers about as long as they ask for (`MADE`); `--tokens` makes them all longer or shorter (up to 64).
Pictures are JPEGs of 1024 x 768; words are invented. The model is a stock LLaVA of random weights: 729 visual tokens, a
SigLIP of 27 layers 128 wide, a Llama of 8 layers 512 wide with 32,000 words. Where answers have n tokens on average,
every (n + 1)th word ends one; the table has what the mean came to.

One by one is what one writes first: open the picture, prepare it, `generate` with a key/value cache, and so on. Both
ways decode and prepare pictures, answer and give texts, in turns, benchmark after benchmark, and identical answers are
counted in every round; a time is the median of its rounds. In batches, pictures are prepared in a thread of their own;
time on the CPU counts that too, and less of what others do on the machine. The load at the end is written down. A GPU
is used where there is one.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from asvr.data.images import open_image
from asvr.data.templates import TEMPLATES
from asvr.environment import environment
from asvr.evaluation.answer_file import Header, read_answers
from asvr.evaluation.answering import answer_batches
from asvr.evaluation.chat_processor import ChatProcessor
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.questions import Question, QuestionSet
from asvr.evaluation.shared_pictures import SharedPictures
from asvr.evaluation.suite_task import Task, find_pending

SPECIAL = ["<s>", "</s>", "<pad>", "<image>", "?"]
NUM_WORDS, IMAGE, PATCH, LONGEST = 32_000, 378, 14, 64
TIMES = ("one_by_one", "in_batches", "one_by_one_cpu", "in_batches_cpu")


class Made(NamedTuple):
    questions: int
    pictures: int
    words: tuple[int, int]
    tokens: int


MADE = {
    "textvqa": Made(5_000, 3_166, (15, 60), 5),
    "docvqa": Made(5_349, 1_286, (12, 30), 5),
    "ocrbench": Made(1_000, 1_000, (12, 30), 5),
    "chartqa": Made(2_500, 1_509, (12, 30), 5),
    "mmbench": Made(4_377, 1_164, (40, 90), 1),
    "mme": Made(2_374, 1_187, (12, 25), 1),
    "seed_image": Made(14_233, 7_116, (40, 90), 1),
    "gqa": Made(12_578, 398, (14, 25), 2),
    "mmmu": Made(900, 900, (40, 120), 1),
    "ai2d": Made(3_088, 1_029, (30, 60), 1),
    "realworldqa": Made(765, 765, (30, 60), 1),
    "mmvp": Made(300, 300, (20, 40), 1),
    "hallusionbench": Made(951, 346, (20, 50), 1),
    "pope": Made(9_000, 500, (12, 18), 1),
}
"""Questions, pictures, fewest and most words of a question, and tokens of an answer on average.

Numbers are those of the data sets as our benchmarks read them, MMBench with every rotation of its options. Guesses are:
two questions about each picture of SEED, three of AI2D (15,000 about 5,000 in all its parts), one of OCRBench, MMMU and
RealWorldQA; all words; and tokens, from what the prompts ask for: a letter or yes or no is one, GQA's words are two,
and what is read from a page or chart is five.
"""


def write_model(folder: Path) -> Path:
    torch.manual_seed(0)
    words = (*SPECIAL, *(f"w{number}" for number in range(NUM_WORDS - len(SPECIAL))))
    known = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="?"))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    known.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL[:4]])
    named = dict(zip(("bos_token", "eos_token", "pad_token"), SPECIAL, strict=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=known, **named)
    wide = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 27, "num_attention_heads": 2}
    text = {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8}
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**wide, image_size=IMAGE, patch_size=PATCH),
        text_config=LlamaConfig(**text, vocab_size=NUM_WORDS, bos_token_id=0, eos_token_id=1, initializer_range=0.2),
        image_token_id=3,
        vision_feature_select_strategy="full",
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": IMAGE, "width": IMAGE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATES["vicuna_v1"],
    ).save_pretrained(folder)
    return folder


def draw(name: str) -> bytes:
    noise = np.random.default_rng(sum(name.encode())).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def make_questions(name: str, share: int) -> QuestionSet:
    made, random = MADE[name], Random(name)
    count, files = max(1, made.questions // share), {}
    questions = []
    for number in range(count):
        picture = f"{name}-{number * made.pictures // made.questions}"
        files[picture] = draw(picture)
        words = (f"w{random.randrange(NUM_WORDS - len(SPECIAL))}" for _ in range(random.randint(*made.words)))
        questions.append(Question(str(number), "", (picture,), "<image>\n" + " ".join(words), ""))
    return QuestionSet(tuple(questions), files.__getitem__, {}, "invented")


def one_by_one(asked: QuestionSet, model: GreedyModel, chat: ChatProcessor) -> dict[str, str]:
    answers = {}
    for one in asked.questions:
        picture = open_image(BytesIO(asked.open(one.images[0])), record=one.id)
        answers[one.id] = chat.decode(model(chat([one.text], [[picture]]), max_new_tokens=LONGEST)[0])
    return answers


def in_batches(asked: QuestionSet, model: SharedPictures, chat: ChatProcessor, batch_size: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as temporary:
        header = Header("none", "none", "none", "none", LONGEST, None, len(asked.questions), {})
        task = Task(Path(temporary), asked, header)
        batches = find_pending(task, batch_size=batch_size, same_size=True)
        # The last process of several draws no progress bar.
        answer_batches(task, batches, model, chat, label="", process=1)
        return {answer.id: answer.answer for answer in read_answers(task.folder)}


class Took(NamedTuple):
    wall: float
    cpu: float


def timed(answer: Callable[[], dict[str, str]]) -> tuple[Took, dict[str, str]]:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    answers = answer()
    return Took(time.perf_counter() - begun, time.process_time() - begun_cpu), answers


def measure(
    asked: QuestionSet, model: SharedPictures, chat: ChatProcessor, *, tokens: int, batch_size: int, rounds: int
) -> dict[str, Any]:
    model.greedy.ends = list(range(len(SPECIAL), NUM_WORDS, tokens + 1))
    turns = []
    for _ in range(rounds):
        alone, expected = timed(lambda: one_by_one(asked, model.greedy, chat))
        together, found = timed(lambda: in_batches(asked, model, chat, batch_size))
        turns.append((alone, together, sum(found[name] == said for name, said in expected.items())))
    lengths = [len(said.split()) for said in expected.values()]
    return {
        "questions": len(asked.questions),
        "pictures": len({one.images for one in asked.questions}),
        "tokens": [min(lengths), round(sum(lengths) / len(lengths), 1), max(lengths)],
        "one_by_one": median(alone.wall for alone, _, _ in turns),
        "in_batches": median(together.wall for _, together, _ in turns),
        "one_by_one_cpu": median(alone.cpu for alone, _, _ in turns),
        "in_batches_cpu": median(together.cpu for _, together, _ in turns),
        "identical": min(same for _, _, same in turns),
    }


def run(share: int, rounds: int, batch_size: int, tokens: int | None) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary))
        model, chat = SharedPictures(GreedyModel(folder, device=device)), ChatProcessor(folder)
    sets = {name: make_questions(name, share) for name in MADE}
    first = replace(sets["mmvp"], questions=sets["mmvp"].questions[:1])
    measure(first, model, chat, tokens=1, batch_size=batch_size, rounds=1)
    found = {
        name: measure(asked, model, chat, tokens=tokens or MADE[name].tokens, batch_size=batch_size, rounds=rounds)
        for name, asked in sets.items()
    }
    total = {key: sum(row[key] for row in found.values()) for key in ("questions", "pictures", "identical")}
    seconds = {key: sum(row[key] for row in found.values()) for key in TIMES}
    lengths = [row["tokens"] for row in found.values()]
    mean = sum(row["tokens"][1] * row["questions"] for row in found.values()) / total["questions"]
    spread = [min(each[0] for each in lengths), round(mean, 1), max(each[2] for each in lengths)]
    return {
        "benchmarks": {**found, "all": {**total, **seconds, "tokens": spread}},
        "ratio": seconds["one_by_one"] / seconds["in_batches"],
        "ratio_cpu": seconds["one_by_one_cpu"] / seconds["in_batches_cpu"],
        "batch_size": batch_size,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "load_at_the_end": os.getloadavg()[0],
        **environment(),
    }


def show(found: dict[str, Any]) -> None:
    table = Table(box=None, title="answers per second; ratios of wall time and of CPU time")
    table.add_column("benchmark")
    for heading in ("asked", "pictures", "tokens", "one by one", "in batches", "ratio", "CPU", "same"):
        table.add_column(heading, justify="right")
    for name, row in found["benchmarks"].items():
        speeds = [f"{row['questions'] / row[way]:.2f}" for way in TIMES[:2]]
        counts = (str(row["questions"]), str(row["pictures"]), str(row["tokens"][1]))
        ratios = [f"{row[alone] / row[together]:.1f}" for alone, together in (TIMES[:2], TIMES[2:])]
        table.add_row(name, *counts, *speeds, *ratios, str(row["identical"]))
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = run(given.share, given.rounds, given.batch_size, given.tokens)
    show(results)
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")
