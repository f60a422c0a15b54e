"""The models that ship with the package are what their record says, and the recorded command still makes them."""

import json
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, AutoModelForCausalLM, AutoTokenizer, SiglipVisionModel

import asvr.world
from asvr.data.conversation import read_conversations
from asvr.data.templates import TEMPLATES
from asvr.world.draw import draw
from asvr.world.fit import Descent, record_order
from asvr.world.language import caption_record, word_record
from asvr.world.language_model import TOKENIZER_RECORDS, LanguageModelSize, train_language_model
from asvr.world.making import sha256
from asvr.world.records import picture_name, picture_scene, region_record
from asvr.world.regions import WHOLE, DescribedPicture, Region, read_described_pictures
from asvr.world.scene import CHARACTERS, COLOURS, SHAPES, SIZES
from asvr.world.tower import TowerSize, train_tower
from asvr.world.words import THING_WORDS

ASSETS = Path(asvr.world.__file__).parent / "assets"
TOWER, LANGUAGE_MODEL = ASSETS / "tower", ASSETS / "language_model"
STEPS = 3


def made(folder: Path) -> dict:
    return json.loads((folder / "making.json").read_text())


def begun(folder: Path) -> tuple[Descent, list[int]]:
    """Gives the first steps of the recorded run, and the records that they read."""
    descent = Descent(**{**made(folder)["descent"], "steps": STEPS})
    return descent, sorted(set(record_order(made(folder)["records"], descent).flatten().tolist()))


@pytest.mark.parametrize("folder", [TOWER, LANGUAGE_MODEL])
def test_weights_are_the_recorded_ones_and_small(folder: Path) -> None:
    assert sha256(folder / "model.safetensors") == made(folder)["weights_sha256"]
    assert (folder / "model.safetensors").stat().st_size < 5e6
    assert made(folder)["command"].startswith("asvr world ")


def test_the_tower_is_stock_and_its_penultimate_layer_says_everything() -> None:
    tower, processor = SiglipVisionModel.from_pretrained(TOWER), AutoImageProcessor.from_pretrained(TOWER)
    pixels = processor(draw(picture_scene("test", 0, seed=0), seed=0), return_tensors="pt")["pixel_values"]
    assert tower(pixel_values=pixels).last_hidden_state.shape == (1, 36, 128)
    assert min(made(TOWER)["measured"]["probe"].values()) > 0.9


def test_the_language_model_is_stock_and_has_a_token_for_each_word_of_the_world() -> None:
    model = AutoModelForCausalLM.from_pretrained(LANGUAGE_MODEL)
    tokenizer = AutoTokenizer.from_pretrained(LANGUAGE_MODEL)
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.chat_template == TEMPLATES["mistral"]
    words = [f" {word}" for word in (*SIZES, *COLOURS, *SHAPES, *CHARACTERS, "yes", "no", *"0123456")]
    assert all(len(tokenizer.tokenize(word)) == 1 for word in (*words, *THING_WORDS))
    text = "Naïve 中文 🙂\n\ttext."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_the_recorded_command_begins_as_it_did_for_the_tower(tmp_path: Path) -> None:
    descent, used = begun(TOWER)
    for index in used:
        picture = draw(picture_scene("tower", index, seed=0), seed=f"0 tower {index}")
        picture.save(tmp_path / picture_name("tower", index))
    (tmp_path / "used.json").write_text(json.dumps([region_record("tower", index, seed=0) for index in used]))
    # Only what the first steps read is drawn; the others are there for their number, which decides the order.
    pictures = [DescribedPicture("other", "other.png", (Region(WHOLE, ("red",)),))] * made(TOWER)["records"]
    for index, picture in zip(used, read_described_pictures(tmp_path / "used.json"), strict=True):
        pictures[index] = picture
    checkpoint = tmp_path / "checkpoint.pt"
    _, losses = train_tower(pictures, tmp_path, size=TowerSize(), descent=descent, checkpoint=checkpoint)
    assert losses == pytest.approx(made(TOWER)["first_losses"], abs=1e-3)


def test_the_recorded_command_begins_as_it_did_for_the_language_model(tmp_path: Path) -> None:
    descent, used = begun(LANGUAGE_MODEL)
    total = made(LANGUAGE_MODEL)["records"]
    # One caption for ten conversations, after them.
    num_words = total * 10 // 11
    records = {index: word_record(index, seed=0) for index in {*used, *range(TOKENIZER_RECORDS)} if index < num_words}
    records |= {index: caption_record(index - num_words, seed=0) for index in used if index >= num_words}
    (tmp_path / "used.json").write_text(json.dumps(list(records.values())))
    read = dict(zip(records, read_conversations(tmp_path / "used.json"), strict=True))
    corpus = [(read.get(index, read[0]), "mistral" if index < num_words else "plain") for index in range(total)]
    checkpoint = tmp_path / "checkpoint.pt"
    _, _, losses = train_language_model(corpus, size=LanguageModelSize(), descent=descent, checkpoint=checkpoint)
    assert losses == pytest.approx(made(LANGUAGE_MODEL)["first_losses"], abs=1e-3)
