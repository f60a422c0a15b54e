import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

# Before any Hugging Face library reads it.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

SPECIAL_TOKENS = ["<s>", "</s>", "<pad>", "<image>", "[INST]", "[/INST]", "<|im_start|>", "<|im_end|>"]
SPECIAL_TOKENS += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SENTENCES = [
    "Is there a blue triangle? yes no",
    "A grey box with one black square and two yellow circles.",
    "USER: how many objects are there? ASSISTANT: 3",
    "Is the statement true or false?",
]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text is representable, and spaces join the word that follows."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=384, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=SPECIAL_TOKENS[3:],
    )


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder with `0.png` to `3.png`, each of one colour and of its own size."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, colour in enumerate(["red", "green", "blue", "white"]):
        Image.new("RGB", (8 + index, 8), colour).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def nlvr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real records; its pictures are in `images`."""
    archive = Path(__file__).parents[2] / "shared" / "data" / "nlvr.tar"
    if not archive.is_file():
        pytest.skip(f"real data: {archive} is absent")
    folder = tmp_path_factory.mktemp("nlvr")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.rglob("unlabelled.json")).parent


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with `language_model`, `tower`, `tokenizer`, `targets` (continuous) and `records`, all tiny and real."""
    from tests.parts import write_language_model, write_records, write_targets, write_tokenizer, write_tower

    folder = tmp_path_factory.mktemp("parts")
    write_language_model(folder / "language_model", tokenizer)
    write_tower(folder / "tower")
    write_tokenizer(folder / "tokenizer", folder / "tower")
    write_targets(folder / "targets", folder / "tower")
    write_records(folder / "records")
    return folder


@pytest.fixture
def asvr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[[list[str]], tuple[int, str]]:
    """Runs the command line; gives its exit code and what it wrote to standard error."""

    from asvr.cli import main

    def run(argv: list[str]) -> tuple[int, str]:
        for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS", "TOKENIZERS_PARALLELISM"):
            monkeypatch.setenv(name, {"TRANSFORMERS_VERBOSITY": "error"}.get(name, "1"))
        # A process of its own is told by its environment, before it imports transformers.
        disable_progress_bar()
        monkeypatch.setattr(sys, "argv", ["asvr", *argv])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().err

    return run
