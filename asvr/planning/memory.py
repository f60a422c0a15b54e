"""Memory that training takes on each device: what is held all along by arithmetic, activations by counting them.

The Trainer keeps every weight in fp32, frozen ones too, and AdamW two fp32 numbers for each that trains; bf16 is the
arithmetic of the forward pass (autocast), not of the weights. DeepSpeed is another matter: it makes bf16 weights and
keeps an fp32 copy of those that train beside AdamW's numbers, 16 bytes a trained parameter in all (arXiv 1910.02054).

Activations are what autograd keeps for the backward pass: one layer of the language model and every head are run at
their real size on tensors without data (PyTorch's fake tensors), and the bytes that they keep are added up.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from transformers import PreTrainedModel

from asvr.heads.depth_transformer import PARTS, DepthTransformer
from asvr.objective import Supervision
from asvr.subset import num_chosen

Strategy = Literal["ddp", "fsdp", "zero2", "zero3"]
"""How several devices share the work; on one device they are all the same but for DeepSpeed's arithmetic."""

Precision = Literal["fp32", "bf16"]

FLOAT, HALF = 4, 2
"""Bytes of a number in fp32 and in bf16."""

NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of one in four bits: with an 8-bit scale for 64 of them and an fp32 one for 256 scales (arXiv 2305.14314)."""


@dataclass(frozen=True)
class States:
    """Bytes on each device that are held from step to step.

    Args:
        weights: Of all parameters and buffers.
        gradients: Of what trains, and their copies for communication.
        optimiser: AdamW's, and fp32 copies where the weights are bf16.
    """

    weights: float
    gradients: float
    optimiser: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.optimiser


@dataclass(frozen=True)
class Memory:
    """Bytes on each device at the fullest moment of a step.

    The forward pass ends with all that is kept and with the passing weights; the backward pass then gives back what
    the heads keep before the language model's layers are computed again, one at a time.

    Args:
        states: Held from step to step.
        passing: Weights gathered, or copied in bf16, for the moment.
        inputs: What every layer of the language model keeps: with checkpointing its input alone, in fp32.
        heads: What the visual heads keep.
        layer: What one layer keeps while it is computed again; none without checkpointing.
        reserve: Set aside for what is not counted: CUDA's own, the vision towers' passing activations, gaps.
    """

    states: States
    passing: float
    inputs: float
    heads: float
    layer: float
    reserve: float = 4.0 * 2**30

    @property
    def total(self) -> float:
        """At the fullest moment."""
        return self.states.total + self.inputs + max(self.passing + self.heads, self.layer) + self.reserve


@dataclass(frozen=True)
class Share:
    """How many parameters of what kind there are.

    Args:
        parameters: All that a run holds.
        trained: Those that train.
        buffers: Numbers held beside them, such as codebooks.
        block: Parameters of one layer of the language model, which sharded training gathers at a time.
        blocks: Parameters of all of them.
        quantised: Frozen parameters that are kept in four bits (QLoRA).
    """

    parameters: int
    trained: int
    buffers: int
    block: int
    blocks: int
    quantised: int = 0


def states(share: Share, strategy: Strategy, *, gpus: int, accumulation: int, precision: Precision) -> States:
    """Counts what is held from step to step.

    Args:
        share: The parameters.
        strategy: How devices share the work. `ddp` keeps everything everywhere, and its gradients once more in the
            buckets that it sums over devices; `fsdp` cuts all three; `zero2` all but weights; `zero3` all three.
        gpus: Devices.
        accumulation: Micro-batches per step and device.
        precision: The recipe's.
    """
    low, trained = (HALF if precision == "bf16" else FLOAT), share.trained
    whole, beside = share.parameters - share.quantised, FLOAT * share.buffers + NF4 * share.quantised
    match strategy:
        case "ddp":
            copies = 2 if gpus > 1 else 1
            weights, gradients, optimiser = FLOAT * whole, copies * FLOAT * trained, 2 * FLOAT * trained
        case "fsdp":
            # Between the micro-batches of a step no gradient is summed, so that each device holds its own whole.
            cut = gpus if accumulation == 1 else 1
            weights, gradients, optimiser = FLOAT * whole / gpus, FLOAT * trained / cut, 2 * FLOAT * trained
            optimiser /= gpus
        case "zero2" | "zero3":
            cut = gpus if strategy == "zero3" else 1
            masters = FLOAT * trained if low == HALF else 0
            weights, gradients = low * whole / cut, low * trained / gpus
            optimiser = (2 * FLOAT * trained + masters) / gpus
    return States(float(weights + beside), float(gradients), float(optimiser))


def gathered(share: Share, strategy: Strategy, *, gpus: int, precision: Precision) -> float:
    """Counts the bytes of weights that a device makes for the moment.

    Sharded training gathers two layers at a time, and what is no layer for as long as a step lasts. Autocast keeps bf16
    copies of the matrices that train until the forward pass ends.
    """
    low = HALF if precision == "bf16" else FLOAT
    if strategy in ("fsdp", "zero3") and gpus > 1:
        return float(low * (2 * share.block + share.parameters - share.blocks))
    return float(HALF * share.trained) if precision == "bf16" and strategy in ("ddp", "fsdp") else 0.0


def layer_bytes(language_model: PreTrainedModel, precision: Precision, *, batch: int, length: int) -> float:
    """Counts what one layer of a language model keeps for the backward pass, its weights' bf16 copies among it.

    Args:
        language_model: The model without weights, with what trains marked.
        precision: The recipe's.
        batch: Sequences of a micro-batch.
        length: Tokens of each.
    """
    layer, rotary = language_model.get_submodule("layers.0"), language_model.get_submodule("rotary_emb")
    with FakeTensorMode():
        states = torch.empty(batch, length, language_model.config.hidden_size, requires_grad=True)
        places = torch.zeros(1, length, dtype=torch.long)
        turns = functional_call(rotary, _without_data(rotary), (states, places))
        weights = _without_data(layer)
        with autocast(precision):
            return kept_bytes(
                lambda: functional_call(layer, weights, (states,), {"position_embeddings": turns}), weights.values()
            )


def head_bytes(term: Supervision, hidden_size: int, tokens: int, precision: Precision) -> float:
    """Counts what a visual head keeps for the backward pass of so many visual tokens.

    With gradient checkpointing that is what goes in, and one part of the tokens at a time while it is computed again.

    Args:
        term: A visual loss without weights.
        hidden_size: Width of the language model's hidden states.
        tokens: Visual tokens of a micro-batch, all positions of each picture; the head may be given fewer.
        precision: The recipe's.
    """
    head, tokens = term.head, num_chosen(tokens, term.fraction)
    assert isinstance(head, nn.Module)
    with FakeTensorMode():
        weights = _without_data(head)
        none = term.target.encode_none(torch.device("cpu"))
        target = none.new_zeros((tokens, *none.shape[1:]))
        hidden = torch.empty(tokens, hidden_size, requires_grad=True)
        with autocast(precision):
            kept = kept_bytes(lambda: functional_call(head, weights, (hidden, target)), weights.values())
            if not (isinstance(head, DepthTransformer) and head.gradient_checkpointing):
                return kept
            largest = tokens // PARTS + tokens % PARTS
            part = hidden[:largest], target[:largest]
            named = {f"head.{name}": weight for name, weight in weights.items()}
            own = (*weights.values(), hidden, target)
            again = kept_bytes(lambda: functional_call(_States(head), named, part), own)
            return kept + hidden.nbytes + target.nbytes + again


class _States(nn.Module):
    """What a depth transformer computes again, as a module to be called with weights without data."""

    def __init__(self, head: DepthTransformer) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Calls it."""
        return self.head.states(hidden, codes)


def _without_data(module: nn.Module) -> dict[str, Tensor]:
    """Makes a module's parameters and buffers as tensors without data; to be called in a `FakeTensorMode`."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: torch.empty(each.shape, dtype=each.dtype, requires_grad=each.requires_grad) for name, each in named}


def kept_bytes(call: Callable[[], object], weights: Iterable[Tensor]) -> float:
    """Adds up what autograd keeps of a forward pass, each storage once, without the weights themselves."""
    # A storage is told from others by its address in C++; tensors without data have none of their own.
    own = {weight.untyped_storage()._cdata for weight in weights}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = call()
    del result
    return float(sum(storage.nbytes() for storage in kept.values()))


def autocast(precision: Precision) -> AbstractContextManager:
    """Gives the arithmetic of a forward pass, as the Trainer does."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
