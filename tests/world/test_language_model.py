import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from asvr.data.conversation import Conversation, Turn
from asvr.world.language import word_record
from asvr.world.language_model import (
    LanguageModelSize,
    answer_loss,
    collate,
    encode_text,
    llama_config,
    start_from_parts,
)
from asvr.world.scene import sample_scene
from asvr.world.vocabulary import SPECIAL_TOKENS, train_tokenizer
from asvr.world.words import THING_WORDS, word_picture


def spoken(index: int) -> Conversation:
    turns = word_record(index, seed=0)["conversations"]
    roles = {"human": "user", "gpt": "assistant"}
    return Conversation(f"{index}", (), tuple(Turn(roles[turn["from"]], turn["value"]) for turn in turns))


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    return train_tokenizer(f" {turn.text}" for index in range(200) for turn in spoken(index).turns)


@pytest.fixture
def model(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(llama_config(words, LanguageModelSize(hidden_size=16, num_layers=2)))


def test_loss_at_labels_alone_is_the_models_own(words: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    ids, labels = collate([encode_text(spoken(index), "mistral", words) for index in range(5)], words)
    padding = ids == words.pad_token_id
    assert padding.any()
    own = model(input_ids=ids, labels=labels, attention_mask=(~padding).long()).loss
    torch.testing.assert_close(answer_loss(model, ids, labels), own)


def test_a_word_picture_takes_as_many_tokens_as_its_picture(words: PreTrainedTokenizerFast) -> None:
    for index in range(20):
        ids = words(word_picture(sample_scene("train", index, seed=0)), add_special_tokens=False).input_ids
        assert len(ids) == 36


def test_special_tokens_and_things_are_whole_and_any_text_survives(words: PreTrainedTokenizerFast) -> None:
    for word in (*SPECIAL_TOKENS, *THING_WORDS):
        assert words.tokenize(word) == [word]
    for text in ("Zażółć gęślą jaźń 🙂", "tabs\tand\nlines", "  spaces  "):
        assert words.decode(words(text, add_special_tokens=False).input_ids) == text


def test_a_things_word_starts_as_the_sum_of_its_parts(words: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    embedding = model.get_input_embeddings()
    start_from_parts(embedding, words)
    ids = words.get_vocab()
    parts = [ids[f"Ġ{word}"] for word in ("large", "blue", "heart", "X")]
    torch.testing.assert_close(embedding.weight[ids["[large blue heart X]"]], embedding.weight[parts].sum(0))
