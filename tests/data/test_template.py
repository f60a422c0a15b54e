from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from asvr.data.conversation import Conversation, Turn
from asvr.data.rendering import messages
from asvr.data.template import Encoded, encode, encode_prompt
from asvr.data.templates import TEMPLATES

END = {"plain": "\n", "vicuna_v1": "</s>", "chatml": "<|im_end|>", "mistral": "</s>", "llama3": "<|eot_id|>"}
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# Written by hand after each family's published format, for two pairs of turns: FastChat's vicuna_v1.1; the template of
# Qwen3's tokenizer_config.json, without the empty thinking block that it puts before the last answer (Qwen2.5's
# differs by a system turn that names the model); "<s>[INST] Instruction [/INST] Model answer</s>[INST] ..." of the card
# of Mistral-7B-Instruct; the chat_template of Meta-Llama-3-8B-Instruct.
RENDERED = {
    "vicuna_v1": f"<s>{SYSTEM} USER: <image>\nq1 ASSISTANT: a1</s>USER: q2 ASSISTANT: a2</s>",
    "chatml": "<s><|im_start|>user\n<image>\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"
    "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\na2<|im_end|>\n",
    "mistral": "<s>[INST] <image>\nq1 [/INST] a1</s>[INST] q2 [/INST] a2</s>",
    "llama3": "<s><|start_header_id|>user<|end_header_id|>\n\n<image>\nq1<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nq2<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\na2<|eot_id|>",
}
TWO_PAIRS = (Turn("user", "<image>\nq1"), Turn("assistant", "a1"), Turn("user", "q2"), Turn("assistant", "a2"))
WORDS = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and "<" not in text and "[" not in text)
FIXED = settings(deadline=None, max_examples=40)


def talk(*texts: str, images: tuple[str, ...] = ()) -> Conversation:
    roles = ("user", "assistant")
    return Conversation("7", images, tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts)))


def encoded(
    conversation: Conversation, tokenizer: PreTrainedTokenizerBase, template: str, max_length: int = 1000
) -> Encoded:
    return encode(
        conversation,
        tokenizer,
        chat_template=TEMPLATES.get(template, template),
        image_token="<image>",
        tokens_per_image=[3 + index for index in range(len(conversation.images))],
        max_length=max_length,
    )


def learnt(sample: Encoded, tokenizer: PreTrainedTokenizerFast) -> str:
    return tokenizer.decode(sample.labels[sample.labels != -100])


@pytest.mark.parametrize("name", RENDERED)
def test_a_template_renders_its_familys_published_format(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    text = tokenizer.apply_chat_template(messages(TWO_PAIRS), chat_template=TEMPLATES[name], tokenize=False)
    assert text == RENDERED[name]


@pytest.mark.parametrize("name", RENDERED)
def test_content_may_be_a_string_as_well_as_parts(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    plain = [{"role": turn.role, "content": turn.text} for turn in TWO_PAIRS]
    assert tokenizer.apply_chat_template(plain, chat_template=TEMPLATES[name], tokenize=False) == RENDERED[name]


def test_plain_shows_only_the_images_of_the_question(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = talk("<image>\nDescribe <image>", "A box.", images=("a", "b")).turns
    text = tokenizer.apply_chat_template(messages(turns), chat_template=TEMPLATES["plain"], tokenize=False)
    assert text == "<s><image><image>A box.\n"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_tokenizer_without_start_token_gets_none(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    with_start = encoded(talk("q", "a"), tokenizer, name).input_ids
    assert torch.equal(encoded(talk("q", "a"), bare, name).input_ids[name == "plain" :], with_start[1:])


def test_without_a_start_token_a_line_break_stands_before_an_image(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    captioned = encoded(talk("<image>", "A box.", images=("a",)), bare, "plain")
    assert bare.decode(captioned.input_ids) == "\n<image><image><image>A box.\n"
    assert captioned.visual_mask.tolist()[:5] == [False, True, True, True, False]
    assert learnt(captioned, bare) == "A box.\n"
    unlabelled = encoded(Conversation("7", ("a",), ()), bare, "chatml")
    assert bare.decode(unlabelled.input_ids) == "\n<image><image><image>"


@pytest.mark.parametrize("name", TEMPLATES)
@FIXED
@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
def test_exactly_the_answers_and_their_end_tokens_are_supervised(
    name: str, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]
) -> None:
    pairs = pairs[:1] if name == "plain" else pairs
    sample = encoded(talk(*(text for pair in pairs for text in pair)), tokenizer, name)
    between = " " if name in ("vicuna_v1", "mistral") else ""
    assert learnt(sample, tokenizer) == "".join(f"{between}{answer.strip()}{END[name]}" for _, answer in pairs)


@pytest.mark.parametrize("name", TEMPLATES)
@FIXED
@given(question=WORDS, answer=WORDS)
def test_a_prompt_and_its_answer_are_the_training_sequence(
    name: str, tokenizer: PreTrainedTokenizerFast, question: str, answer: str
) -> None:
    question = "<image>\n" + question
    sample = encoded(talk(question, answer, images=("a",)), tokenizer, name)
    prompt = encode_prompt(
        question, tokenizer, chat_template=TEMPLATES[name], image_token="<image>", tokens_per_image=[3]
    )
    first = int((sample.labels != -100).nonzero()[0])
    assert torch.equal(prompt, sample.input_ids[:first])


def test_each_image_takes_its_own_number_of_tokens_at_its_marker(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoded(talk("<image> or <image>?", "yes", images=("a", "b")), tokenizer, "mistral")
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    assert torch.equal(sample.visual_mask, sample.input_ids == image_id)
    # By hand: "[INST]", " ", 3 visual tokens, " or ", 4 visual tokens, ...
    runs = "".join("v" if visual else "." for visual in sample.visual_mask).strip(".")
    assert runs.startswith("vvv.") and runs.endswith(".vvvv") and runs.count("v") == 7
    assert (sample.labels[sample.visual_mask] == -100).all()


def test_images_without_text_are_the_start_token_and_visual_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoded(Conversation("7", ("a", "b"), ()), tokenizer, "mistral")
    assert sample.visual_mask.tolist() == [False] + [True] * 7
    assert sample.input_ids[0] == tokenizer.bos_token_id
    assert sample.num_supervised == 0


def test_text_alone_has_no_visual_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoded(talk("q", "a"), tokenizer, "vicuna_v1")
    assert not sample.visual_mask.any()
    assert learnt(sample, tokenizer) == " a</s>"


def test_a_token_that_straddles_the_answers_beginning_is_supervised(tokenizer: PreTrainedTokenizerFast) -> None:
    # " yes" is one token of this tokenizer, and this template puts its space outside the block.
    template = (
        "{{ messages[0]['content'][0]['text'] }} {% generation %}{{ messages[1]['content'][0]['text'] }}"
        "{% endgeneration %}"
    )
    assert learnt(encoded(talk("q", "yes"), tokenizer, template), tokenizer) == " yes"


def test_a_long_sample_loses_text_at_its_end(tokenizer: PreTrainedTokenizerFast) -> None:
    conversation = talk("<image>\nq", "a long long long answer", images=("a",))
    whole = encoded(conversation, tokenizer, "mistral")
    cut = encoded(conversation, tokenizer, "mistral", max_length=len(whole.input_ids) - 2)
    assert cut.truncated and not whole.truncated
    assert torch.equal(cut.input_ids, whole.input_ids[:-2])
    assert torch.equal(cut.labels, whole.labels[:-2])


def test_a_sample_that_cannot_keep_its_image_is_refused_by_name(tokenizer: PreTrainedTokenizerFast) -> None:
    conversation = talk("<image>\nq", "a", "<image>", "b", images=("a", "b"))
    with pytest.raises(ValueError, match=r"conversation '7': .* limit is 14"):
        encoded(conversation, tokenizer, "mistral", max_length=14)
    with pytest.raises(ValueError, match="limit is 5"):
        encoded(Conversation("7", ("a", "b"), ()), tokenizer, "mistral", max_length=5)


def test_a_sample_cut_down_to_its_question_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoded(talk("q", "a"), tokenizer, "mistral")
    prompt = len(sample.input_ids) - sample.num_supervised
    assert encoded(talk("q", "a"), tokenizer, "mistral", max_length=prompt + 1).num_supervised == 1
    with pytest.raises(ValueError, match=f"{prompt + 1} of its .* limit is {prompt}"):
        encoded(talk("q", "a"), tokenizer, "mistral", max_length=prompt)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[1]['content'] }}", "endgeneration"),
        ("x{% generation %}{% endgeneration %}", "no token to learn in 1"),
        ("{% generation %}a{% endgeneration %}<image>", "finds '<image>' 1 time"),
        ("{{ raise_exception('not so') }}{% generation %}{% endgeneration %}", "refuses it: not so"),
    ],
)
def test_a_template_that_does_not_fit_is_refused(
    template: str, message: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match=message):
        encoded(talk("q", "a"), tokenizer, template)


def test_plain_refuses_a_dialogue(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"conversation '7'.*one user turn and one answer"):
        encoded(replace(talk(), turns=TWO_PAIRS, images=("a",)), tokenizer, "plain")


def test_text_that_looks_like_structure_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="special token '</s>'"):
        encoded(talk("what ends </s> here?", "a"), tokenizer, "mistral")


def test_a_special_token_that_the_tokenizer_does_not_list_is_refused_too(tokenizer: PreTrainedTokenizerFast) -> None:
    # As Llama-3's: the ends of its headers are special, but no attribute of the tokenizer names them.
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    assert "<|end_header_id|>" not in bare.all_special_tokens
    with pytest.raises(ValueError, match=r"special token '<\|end_header_id\|>'"):
        encoded(talk("user<|end_header_id|>", "a"), bare, "llama3")


def test_a_tokenizer_without_the_image_token_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="question 'q': the tokenizer has no token '<picture>'"):
        encode_prompt("q", tokenizer, chat_template=TEMPLATES["mistral"], image_token="<picture>", tokens_per_image=[])


def test_a_tokenizer_that_cannot_place_its_tokens_is_refused() -> None:
    slow = ByT5Tokenizer(extra_ids=0, additional_special_tokens=["<image>"])
    with pytest.raises(ValueError, match=r"ByT5Tokenizer cannot say where .* Use a fast tokenizer"):
        encoded(talk("q", "a"), slow, "mistral")
