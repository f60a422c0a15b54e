"""Low-rank adapters (LoRA, arXiv 2106.09685): put on a language model, trained, and merged back into stock weights.

peft is imported where an adapter is used, since that takes a second, and bitsandbytes with it.
"""

import logging
import os
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from asvr.models.build import Vlm
from asvr.recipes.optimisation import LoraSpec
from asvr.training.nf4 import bitsandbytes, dequantised, quantise

log = logging.getLogger(__name__)

NAME = "default"
"""What peft calls the one adapter."""

LANGUAGE_MODEL, PROJECTOR = "model.language_model", "model.multi_modal_projector"

TOLERANCE = 1e-3
"""Most that merging may change a logit, as a share of the logits' standard deviation.

Rounding in fp32 changes 1.5e-5 of it in two blocks of Vicuna-7B's width with rank 128, and 1.9e-5 in four; if that goes
on with the root of the depth, 32 blocks make 6e-5.
"""


def add_adapter(vlm: PreTrainedModel, spec: LoraSpec, *, seed: int) -> None:
    """Puts an adapter on every linear layer of the language model's blocks, in place; the model's class stays stock.

    Args:
        vlm: The model; its embeddings, text head, tower and projector are left as they are.
        spec: Sizes, and what the frozen weights are kept in.
        seed: Decides the adapter's initial weights; its output is zero at first, whatever they are.
    """
    if spec.base == "nf4":
        quantise(vlm.get_submodule(LANGUAGE_MODEL))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2_000)
        _inject(vlm, spec)


def outline_adapter(vlm: Vlm, spec: LoraSpec | None) -> Vlm:
    """Copies a model without weights (on the meta device), with the adapter on the copy, to check a recipe.

    Args:
        vlm: The model.
        spec: The adapter; with None the model itself is given back.

    Raises:
        ValueError: If this installation, or this launch, cannot train the adapter.
    """
    if spec is None:
        return vlm
    if spec.base == "nf4":
        bitsandbytes()
    if "true" in (os.environ.get("ACCELERATE_USE_FSDP"), os.environ.get("ACCELERATE_USE_DEEPSPEED")):
        raise ValueError(
            "an adapter is merged into whole weights, but this launch shards them by FSDP or DeepSpeed: launch with "
            "torchrun or accelerate's MULTI_GPU instead"
        )
    vlm = deepcopy(vlm)
    _inject(vlm, spec)
    return vlm


def _inject(vlm: PreTrainedModel, spec: LoraSpec) -> None:
    from peft import inject_adapter_in_model

    language_model = vlm.get_submodule(LANGUAGE_MODEL)
    layers = [name for name, layer in language_model.named_modules() if isinstance(layer, nn.Linear)]
    inject_adapter_in_model(_config(spec, layers), language_model, adapter_name=NAME)


def _config(spec: LoraSpec, layers: list[str], whole: list[str] | None = None) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=layers,
        modules_to_save=whole,
    )


def adapted_layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Gives the layers of a module that have an adapter (`peft.tuners.lora.Linear`), by name."""
    if "peft" not in sys.modules:
        # Nothing has put an adapter on any model.
        return
    from peft.tuners.lora import Linear as AdaptedLinear

    for name, layer in module.named_modules():
        if isinstance(layer, AdaptedLinear):
            yield name, layer


def adapter_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Gives the parameters of a module's adapters, without those of the layers that they are on."""
    for _, layer in adapted_layers(module):
        yield from layer.lora_A.parameters()
        yield from layer.lora_B.parameters()


def save_adapter(vlm: PreTrainedModel, spec: LoraSpec, folder: Path) -> None:
    """Saves an adapter and the projector that trained beside it, in peft's format.

    `PeftModel.from_pretrained` puts them on the model that the stage began with.
    """
    state, layers = {}, []
    for name, layer in adapted_layers(vlm.get_submodule(LANGUAGE_MODEL)):
        layers.append(f"{LANGUAGE_MODEL}.{name}")
        state[f"{layers[-1]}.lora_A.weight"] = layer.lora_A[NAME].weight
        state[f"{layers[-1]}.lora_B.weight"] = layer.lora_B[NAME].weight
    for name, value in vlm.get_submodule(PROJECTOR).state_dict().items():
        state[f"{PROJECTOR}.{name}"] = value
    folder.mkdir(parents=True)
    _config(spec, layers, [PROJECTOR]).save_pretrained(str(folder))
    state = {f"base_model.model.{name}": value.detach().contiguous() for name, value in state.items()}
    save_file(state, folder / "adapter_model.safetensors")


def merge_adapter(vlm: PreTrainedModel, spec: LoraSpec) -> float:
    """Adds the adapter to the weights that it is on and takes it off, which leaves a stock model of whole weights.

    Returns:
        The most that a logit changed, as a share of the logits' standard deviation.

    Raises:
        ValueError: If the merged model gives other logits than the adapted one.
    """
    before = _logits(vlm)
    language_model = vlm.get_submodule(LANGUAGE_MODEL)
    for name, layer in list(adapted_layers(language_model)):
        language_model.set_submodule(name, _merged(layer, spec))
    # peft leaves its settings on the model it has been put into.
    del language_model.peft_config
    change = float((_logits(vlm) - before).abs().max() / before.std())
    log.info("merged the adapter: logits changed by %.1e of their standard deviation", change)
    if not change <= TOLERANCE:
        raise ValueError(
            f"merging the adapter changes logits by {change:.1e} of their standard deviation, and rounding explains "
            f"{TOLERANCE:.0e} at most, so no merged model is saved: the adapter itself is kept beside it in adapter/"
        )
    return change


def _merged(layer: Any, spec: LoraSpec) -> nn.Linear:
    base = layer.get_base_layer()
    assert isinstance(base, nn.Linear)
    weight = dequantised(base) if spec.base == "nf4" else base.weight.data
    merged = nn.Linear(base.in_features, base.out_features, base.bias is not None, device="meta")
    merged.weight = nn.Parameter(weight + layer.get_delta_weight(NAME), requires_grad=False)
    merged.bias = base.bias
    return merged


@torch.no_grad()
def _logits(vlm: PreTrainedModel) -> Float[Tensor, "1 probe vocabulary"]:
    """Answers tokens from all over the vocabulary; words suffice, since nothing else of the model has an adapter."""
    embedding, classifier = vlm.get_input_embeddings(), vlm.get_output_embeddings()
    assert isinstance(embedding, nn.Embedding) and isinstance(classifier, nn.Linear)
    ids = torch.arange(64, device=embedding.weight.device)[None] * 7919 % embedding.num_embeddings
    training = vlm.training
    vlm.eval()
    logits = classifier(vlm.get_submodule(LANGUAGE_MODEL)(input_ids=ids, use_cache=False).last_hidden_state)
    vlm.train(training)
    return logits
