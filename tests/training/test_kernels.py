"""Kernels beside torch's own: refused where they cannot be had, before anything is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaModel

from asvr.training.kernels import use_kernels
from asvr.training.machine import Machine
from tests.training.runs import QUIET, metrics, train


def tiny(**given: Any) -> LlamaModel:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaModel(LlamaConfig(**sizes, vocab_size=10, **given))


def test_another_attention_trains_the_same_and_is_not_saved(parts: Path, tmp_path: Path) -> None:
    machine = replace(QUIET, save_every=100)
    runs = {
        name: train("tiny-asvr", parts, tmp_path / name, machine=replace(machine, attention=name))
        for name in ("sdpa", "eager")
    }
    for line, expected in zip(metrics(runs["eager"]), metrics(runs["sdpa"]), strict=True):
        assert line == pytest.approx(expected, rel=1e-3)
    saved = [(run / "model" / "config.json").read_text() for run in runs.values()]
    assert saved[0] == saved[1] and "eager" not in saved[0]
    weights = [load_file(run / "model" / "model.safetensors") for run in runs.values()]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    ("attention", "precision", "message"),
    [
        ("flash_attention_2", "fp32", r"flash_attention_2 computes in half precision, and the recipe in fp32"),
        ("flash", "bf16", r"--attention flash cannot be had here: .*is not supported"),
    ],
)
def test_attention_that_cannot_be_had_is_refused(attention: str, precision: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use_kernels(tiny(), Machine(attention=attention), precision=precision)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="Liger's kernels run here")
def test_liger_without_a_gpu_is_refused_before_a_folder_is_made(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--liger"):
        train("tiny-asvr", parts, tmp_path / "run", machine=replace(QUIET, liger=True))
    assert not (tmp_path / "run").exists()


def test_liger_replaces_norm_and_mlp_and_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("liger_kernel", reason="Liger's kernels are not installed")
    # Put in place without a GPU, though nothing could be computed with them there.
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    model = tiny()
    use_kernels(model, Machine(liger=True), precision="fp32")
    assert repr(model.layers[0].mlp).startswith("LigerSwiGLUMLP")
    assert repr(model.norm).startswith("LigerRMSNorm")
    assert model.state_dict().keys() == tiny().state_dict().keys()
