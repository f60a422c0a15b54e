"""Saves what a stage has trained: a stock model with its processor, and the heads beside it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from asvr.disk import writing
from asvr.models.build import VlmProcessor
from asvr.models.discrete_input import exact_weights
from asvr.objective import Objective
from asvr.recipes.optimisation import LoraSpec
from asvr.training.adapter import merge_adapter, save_adapter

if TYPE_CHECKING:
    import asvr.training.trainer


def save_stage(
    trainer: "asvr.training.trainer.StageTrainer",
    objective: Objective,
    processor: VlmProcessor,
    folder: Path,
    *,
    dtype: torch.dtype | None,
    adapter: LoraSpec | None = None,
) -> None:
    """Saves the stock model with its processor, and the heads beside it; a cut-short save leaves no `model/`.

    An adapter is saved too, then merged into the model.

    Args:
        trainer: Whose weights are gathered, over ranks where they are sharded.
        objective: What was trained.
        processor: Saved with the model, chat template included.
        folder: The stage's folder.
        dtype: Of the saved model; None keeps the one it has.
        adapter: What the stage has trained in place of the language model.

    Raises:
        ValueError: If the merged model gives other logits than the adapted one.
    """
    if adapter is not None:
        if trainer.is_world_process_zero():
            _save_adapter(objective.vlm, adapter, folder)
        merge_adapter(objective.vlm, adapter)
    state: dict[str, Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # type: ignore[assignment]
    if not trainer.is_world_process_zero():
        return
    for name in ("model", "heads"):
        shutil.rmtree(folder / f"{name}.partial", ignore_errors=True)
    model, heads = folder / "model.partial", folder / "heads.partial"
    with writing(model):
        _save_model(objective.vlm, _below(state, "vlm."), model, dtype=dtype or objective.vlm.dtype)
        processor.save_pretrained(model)
    heads.mkdir()
    for name in objective.supervision:
        head = {key: value.contiguous() for key, value in _below(state, f"supervision.{name}.head.").items()}
        with writing(heads):
            save_file(head, heads / f"{name}.safetensors")
    for name in ("model", "heads"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / f"{name}.partial").rename(folder / name)


def _save_model(vlm: PreTrainedModel, state: dict[str, Tensor], folder: Path, *, dtype: torch.dtype) -> None:
    exact = exact_weights(vlm)
    vlm.save_pretrained(
        folder, state_dict={name: value if name in exact else value.to(dtype) for name, value in state.items()}
    )
    # It has noted the dtype that the model trains in, and would load in.
    vlm.config.dtype = dtype
    vlm.config.save_pretrained(folder)


def _save_adapter(vlm: PreTrainedModel, adapter: LoraSpec, folder: Path) -> None:
    partial = folder / "adapter.partial"
    for path in (partial, folder / "adapter"):
        shutil.rmtree(path, ignore_errors=True)
    with writing(partial):
        save_adapter(vlm, adapter, partial)
    partial.rename(folder / "adapter")


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
