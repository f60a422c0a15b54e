from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from asvr.training.freeze import set_trainable
from tests.invariants.batches import build
from tests.parts import write_language_model
from tests.training.runs import train


def test_what_is_not_named_is_frozen_and_counted_where_it_is(parts: Path) -> None:
    objective, _ = build(parts)
    counts = set_trainable(objective, ["vlm.model.multi_modal_projector.", "supervision."])
    # 32 wide tower and language model: two linear layers.
    assert counts["vlm.model.multi_modal_projector."] == 2 * (32 * 32 + 32)
    head = objective.supervision["semantic"].head
    assert counts["supervision."] == sum(parameter.numel() for parameter in head.parameters())
    trained = {name for name, parameter in objective.named_parameters() if parameter.requires_grad}
    assert all(name.startswith(tuple(counts)) for name in trained)
    assert sum(counts.values()) == sum(p.numel() for p in objective.parameters() if p.requires_grad)


def test_a_target_encoder_never_trains_whatever_is_named(parts: Path) -> None:
    objective, _ = build(parts)
    set_trainable(objective, ["vlm.", "supervision."])
    target = objective.supervision["semantic"].target
    assert not any(parameter.requires_grad for parameter in target.parameters())
    with pytest.raises(ValueError, match=r"no parameter of the objective begins with 'supervision.semantic.target.'"):
        set_trainable(objective, ["supervision.semantic.target."])


def test_a_misspelt_prefix_lists_the_parts(parts: Path) -> None:
    objective, _ = build(parts)
    with pytest.raises(ValueError, match=r"begins with 'vlm.projector'; its parts are .*multi_modal_projector"):
        set_trainable(objective, ["vlm.projector"])


def test_tied_embeddings_train_and_are_saved(parts: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    write_language_model(tmp_path / "tied", tokenizer, tie_word_embeddings=True)
    folder = train("tiny-asvr", parts, tmp_path / "run", **{"model.language_model": str(tmp_path / "tied")})
    model = AutoModelForImageTextToText.from_pretrained(folder / "model")
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
