"""Saves what a stage has trained: a stock model with its processor, and the heads beside it."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from asvr.disk import writing
from asvr.models.build import VlmProcessor
from asvr.objective import Objective
from asvr.training.trainer import StageTrainer


def save_stage(
    trainer: StageTrainer, objective: Objective, processor: VlmProcessor, folder: Path, *, dtype: torch.dtype | None
) -> None:
    """Saves the stock model with its processor, and the heads beside it; a cut-short save leaves no `model/`.

    Args:
        trainer: Whose weights are gathered, over ranks where they are sharded.
        objective: What was trained.
        processor: Saved with the model, chat template included.
        folder: The stage's folder.
        dtype: Of the saved model; None keeps the one it has.
    """
    state: dict[str, Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # type: ignore[assignment]
    if not trainer.is_world_process_zero():
        return
    for name in ("model", "heads"):
        shutil.rmtree(folder / f"{name}.partial", ignore_errors=True)
    model, heads = folder / "model.partial", folder / "heads.partial"
    objective.vlm.config.dtype = dtype or objective.vlm.dtype
    weights = {name: value.to(dtype or value.dtype) for name, value in _below(state, "vlm.").items()}
    with writing(model):
        objective.vlm.save_pretrained(model, state_dict=weights)
        processor.save_pretrained(model)
    heads.mkdir()
    for name in objective.supervision:
        head = {key: value.contiguous() for key, value in _below(state, f"supervision.{name}.head.").items()}
        with writing(heads):
            save_file(head, heads / f"{name}.safetensors")
    for name in ("model", "heads"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / f"{name}.partial").rename(folder / name)


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
