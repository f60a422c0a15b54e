"""From a saved model and a data file to a folder of answers, which can be interrupted and resumed."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Int
from rich.progress import track
from torch import Tensor
from transformers import AutoConfig

from asvr.data.dataset import Source
from asvr.data.images import ImagePreparation
from asvr.data.template import encode_prompt
from asvr.evaluation.answer_file import Answer, append_answers
from asvr.evaluation.greedy import GreedyModel, load_image_preparation, load_tokenizer
from asvr.evaluation.prompt_batch import PromptBatch
from asvr.evaluation.questions import Question, make_batches, read_questions
from asvr.evaluation.resume import begin_or_resume, make_header
from asvr.evaluation.shared_pictures import SharedPictures
from asvr.models.grids import file_layout

CACHE_BYTES = 2**30
"""Memory for prepared pictures; several questions, but not all in one batch, are asked about each."""


def answer_questions(
    model_folder: Path,
    data: Path,
    images: Path | None,
    out: Path,
    *,
    batch_size: int = 256,
    max_new_tokens: int = 16,
    limit: int | None = None,
    device: torch.device | str = "cpu",
) -> None:
    """Answers every question of a data file, each put alone, and writes answers and header into a folder.

    A folder with answers of the same model to the same questions is completed. A killed run loses one batch at most,
    and with an equal batch size ends with the same answers as one that was never interrupted.

    Args:
        model_folder: A stock model with its tokenizer, chat template and image processor.
        data: LLaVA records; every assistant turn is the reference of a question.
        images: The folder that their image names are relative to; None if there are none.
        out: Folder to write.
        batch_size: Questions answered at once.
        max_new_tokens: Longest answer, in tokens.
        limit: Only the first so many questions; None for all.
        device: Where the model runs.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If an argument, the model, a record or an image cannot be used, or `out` holds other answers.
    """
    tokenizer, template = load_tokenizer(model_folder)
    questions = read_questions(Source(data, images), limit=limit)
    prompts = encode_questions(questions, model_folder, images)
    batches = make_batches(questions, [len(prompt) for prompt in prompts], batch_size=batch_size)
    header = make_header(
        model_folder,
        data,
        chat_template=template,
        max_new_tokens=max_new_tokens,
        limit=limit,
        num_questions=len(questions),
    )
    answered = begin_or_resume(out, header)
    # A batch is answered whole even if some of it is done: other padding would change the last digits of the logits.
    pending = [batch for batch in batches if any(questions[index].id not in answered for index in batch)]
    if not pending:
        return
    model = SharedPictures(GreedyModel(model_folder, device=torch.device(device)))
    prepare = load_image_preparation(model_folder, cache_bytes=CACHE_BYTES)
    for batch in track(pending, description=f"Answering {data.stem}"):
        asked = [questions[index] for index in batch]
        shown = [question.images for question in asked]
        pictures = _open_images(asked, images or Path(), prepare)
        said = model(PromptBatch([prompts[index] for index in batch], shown, pictures), max_new_tokens=max_new_tokens)
        texts = [str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) for ids in said]
        answers = (Answer.to(question, text) for question, text in zip(asked, texts, strict=True))
        append_answers(out, [answer for answer in answers if answer.id not in answered])


def encode_questions(questions: Sequence[Question], model_folder: Path, images: Path | None) -> list[Int[Tensor, " _"]]:
    """Gives the ids of each question up to where the model begins its answer."""
    config = AutoConfig.from_pretrained(model_folder)
    tokenizer, chat_template = load_tokenizer(model_folder)
    image_token = str(tokenizer.convert_ids_to_tokens(config.image_token_id))
    folder = images or Path()
    return [
        encode_prompt(
            question.text,
            tokenizer,
            chat_template=chat_template,
            image_token=image_token,
            tokens_per_image=[
                file_layout(config, folder / name, record=question.id).num_tokens for name in question.images
            ],
        )
        for question in questions
    ]


def _open_images(
    questions: Sequence[Question], folder: Path, prepare: ImagePreparation
) -> dict[str, dict[str, Tensor]]:
    shown = {name: question.id for question in questions for name in question.images}
    return {name: prepare(folder / name, record=record).inputs for name, record in shown.items()}
