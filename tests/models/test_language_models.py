"""Every family of language models that recipes name: padding, embeddings, end of an answer, training, saving."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from asvr.data.conversation import Conversation, Turn
from asvr.data.template import encode
from asvr.data.templates import TEMPLATES
from asvr.models.build import build_vlm, outline_vlm
from asvr.recipes import RECIPES
from asvr.training.stage import set_template
from tests.models.families import FAMILIES, write_family
from tests.training.runs import metrics, train

NAMES = list(FAMILIES)
# Every byte that a text of any language is written with, most of them as themselves.
ANY_TEXT = "".join(map(chr, range(0x20, 0x250))) + "\t\n\r\0 <unk > !!! 語 🙂"


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    for name in NAMES:
        write_family(name, folder / name)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_written_with_the_padding_token(name: str, families: Path, parts: Path) -> None:
    vlm, processor = build_vlm(str(families / name), str(parts / "tower"), seed=0)
    tokenizer = processor.tokenizer
    pad = tokenizer.pad_token_id
    assert pad not in tokenizer(ANY_TEXT, add_special_tokens=False).input_ids
    assert tokenizer.decode(tokenizer(ANY_TEXT, add_special_tokens=False).input_ids) == ANY_TEXT
    assert pad == vlm.config.pad_token_id == vlm.generation_config.pad_token_id != vlm.config.image_token_id
    # Mistral and Llama-3 have none of their own, so they get a new one.
    new = {"mistral", "llama3"}
    assert (pad >= AutoModelForCausalLM.from_pretrained(families / name).config.vocab_size) == (name in new)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_added_where_tokens_need_them_and_never_taken(name: str, families: Path, parts: Path) -> None:
    text = AutoModelForCausalLM.from_pretrained(families / name)
    vlm, processor = build_vlm(str(families / name), str(parts / "tower"), seed=0)
    old, new = text.get_input_embeddings().weight, vlm.get_input_embeddings().weight
    assert torch.equal(new[: len(old)], old)
    if FAMILIES[name].spare_rows:
        assert len(new) == len(old) > len(processor.tokenizer)
    else:
        assert len(new) % 64 == 0 and len(new) >= len(processor.tokenizer) > len(old)
    assert vlm.config.text_config.vocab_size == len(new) == len(vlm.lm_head.weight)
    assert (vlm.lm_head.weight is new) == (name == "qwen2.5")
    outline, _ = outline_vlm(str(families / name), str(parts / "tower"))
    assert {key: value.shape for key, value in outline.state_dict().items()} == {
        key: value.shape for key, value in vlm.state_dict().items()
    }
    # A run that is begun again has the same new rows, and leaves no other random number as it was not.
    before = torch.get_rng_state()
    again, _ = build_vlm(str(families / name), str(parts / "tower"), seed=0)
    assert torch.equal(again.get_input_embeddings().weight, new)
    assert torch.equal(again.lm_head.weight, vlm.lm_head.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_learnt_and_generated_to_its_family_s_end_token(name: str, families: Path, parts: Path) -> None:
    vlm, processor = build_vlm(str(families / name), str(parts / "tower"), seed=0)
    template = RECIPES[FAMILIES[name].recipe].stage("instruct").template
    set_template(vlm, processor, template)
    tokenizer = processor.tokenizer
    end = tokenizer.convert_tokens_to_ids(FAMILIES[name].end)
    talk = (Turn("user", "<image>\nWell!"), Turn("assistant", "Yes!"), Turn("user", "So?"), Turn("assistant", "No."))
    sample = encode(
        Conversation("7", ("a",), talk),
        tokenizer,
        chat_template=TEMPLATES[template],
        image_token="<image>",
        tokens_per_image=[4],
        max_length=1000,
    )
    learnt = sample.labels[sample.labels != -100].tolist()
    assert learnt[-1] == end and learnt.count(end) == 2
    assert tokenizer.decode(learnt, skip_special_tokens=True).split() in (["Yes!", "No."], ["Yes!No."])
    # Eq. 2 predicts the first visual token from a token before it: Qwen has no start token, but a role.
    assert not sample.visual_mask[0] and sample.visual_mask.sum() == 4
    assert processor.chat_template == TEMPLATES[template]
    words = [index for index in range(vlm.config.text_config.vocab_size) if index != end]
    made = vlm.generate(input_ids=torch.tensor([[5, 6]]), max_new_tokens=4, do_sample=False, suppress_tokens=words)
    assert made[0, 2:].tolist() == [end]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "vicuna"])
def test_it_trains_in_both_stages_and_saves_a_stock_model(
    name: str, families: Path, parts: Path, tmp_path: Path
) -> None:
    recipe = FAMILIES[name].recipe
    changes = {"model.language_model": str(families / name), "precision": "bf16"}
    if name == "qwen3":
        # Pictures without text as well, which Qwen has no start token for.
        changes |= {"stages.pretrain.companions": "1", "stages.instruct.companions": "1"}
    folder = train(recipe, parts, tmp_path / "run", **changes)
    for stage in ("pretrain", "instruct"):
        assert all(line["loss_semantic"] > 0 for line in metrics(folder.parent / stage) if "loss" in line)
    model, info = AutoModelForImageTextToText.from_pretrained(folder / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert type(model.model.language_model.config) is FAMILIES[name].config
    tied = model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert tied == (name == "qwen2.5")
    processor = AutoProcessor.from_pretrained(folder / "model", backend="pil")
    assert model.generation_config.eos_token_id == processor.tokenizer.convert_tokens_to_ids(FAMILIES[name].end)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_gives_equal_logits(name: str, families: Path, parts: Path, tmp_path: Path) -> None:
    vlm, _ = build_vlm(str(families / name), str(parts / "tower"), seed=0)
    image = vlm.config.image_token_id
    inputs = {"input_ids": torch.tensor([[5, *[image] * 4, 6, 7]]), "pixel_values": torch.rand(1, 3, 24, 24)}
    vlm.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(**inputs).logits, vlm.eval()(**inputs).logits)


def test_another_family_s_template_is_refused_before_anything_trains(
    families: Path, parts: Path, tmp_path: Path
) -> None:
    # The template is the second stage's; it would be missed after hours of the first.
    with pytest.raises(ValueError, match=r"template 'chatml' ends an answer with '<\|im_end\|>', which is no token"):
        train("llava-qwen2.5-7b", parts, tmp_path / "run", **{"model.language_model": str(families / "mistral")})
    assert not (tmp_path / "run").exists()
