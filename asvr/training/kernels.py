"""Kernels beside torch's own, for the language model: another attention, and Liger's where a GPU is."""

from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from asvr.training.machine import Machine

HALF_PRECISION = ("flash_attention_2", "flash_attention_3")
"""Implementations of attention that take nothing but fp16 and bf16."""

OURS = {"cross_entropy": False, "fused_linear_cross_entropy": False}
"""What Liger must not replace: the objective computes the losses, and never calls the model's text head."""


def use_kernels(language_model: PreTrainedModel, machine: Machine, *, precision: str) -> None:
    """Lets a stock language model compute with the kernels that a machine has; what is saved of it stays the same.

    Args:
        language_model: Without its text head; it is changed in place.
        machine: Says which.
        precision: The recipe's, `bf16` or `fp32`.

    Raises:
        ValueError: If they are not installed, need an accelerator that is not here or bf16, or are not made for such a
            model.
    """
    if machine.attention in HALF_PRECISION and precision != "bf16":
        raise ValueError(
            f"--attention {machine.attention} computes in half precision, and the recipe in {precision}: choose sdpa, "
            "or --set precision=bf16"
        )
    try:
        language_model.set_attn_implementation(machine.attention)
    except (ImportError, ValueError) as error:
        raise ValueError(f"--attention {machine.attention} cannot be had here: {error}") from error
    if machine.liger:
        _use_liger(language_model)


def _use_liger(language_model: PreTrainedModel) -> None:
    if find_spec("liger_kernel") is None:
        raise ValueError("--liger needs Liger's kernels: pip install 'asvr[liger]'")
    if not torch.accelerator.is_available():
        raise ValueError("--liger: its kernels run on a GPU, and none is here. Train without")
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN  # pyright: ignore[reportMissingImports]

    # Imports peft, which a run without Liger's kernels need not wait for.
    from transformers.integrations.liger import apply_liger_kernel

    kind = language_model.config.model_type
    if kind not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ValueError(f"--liger has no kernels for a {kind!r} language model. Train without")
    apply_liger_kernel(language_model, OURS)
