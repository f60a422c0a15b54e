"""Floating-point operations of training on one conversation, part by part: two for each multiplication in a matrix.

What is frozen and below all that trains (vision towers, autoencoders) is counted by running it on the meta device. What
gradients pass is counted by formula. Per token, with W the weights of a part's matrices:

* forward: 2 W, and in the language model's L layers 4 s d L more for attention over s tokens with heads d wide
  together. It is counted over all pairs of tokens, as it is computed where no kernel leaves out the masked half.
* backward: 2 W for the gradient of what goes in, 2 W more for the gradients of weights that train, and twice the
  forward of attention.
* again, with gradient checkpointing: the forward but for each layer's last matrix, whose result nobody needs, and a
  depth transformer's states. Logits are never computed twice (`asvr.losses`).

Norms, activations, softmaxes, embeddings and the optimiser are left out: under 1 % at real size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from asvr.heads.cosine import CosineHead
from asvr.heads.denoising import DenoisingHead
from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.linear import LinearHead
from asvr.interfaces import TargetEncoder
from asvr.models.build import Vlm
from asvr.models.discrete_input import DiscreteTower
from asvr.recipes.supervision import CodesSpec, TargetSpec
from asvr.targets.continuous import ContinuousTargets
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.tokenizer import VisualTokenizer

Head = DepthTransformer | LinearHead | DenoisingHead | CosineHead


@dataclass(frozen=True)
class Flops:
    """Floating-point operations.

    Args:
        forward: Of the forward pass.
        backward: Of the backward pass.
        again: Of the forward pass once more, where it is repeated to save memory.
    """

    forward: float
    backward: float = 0.0
    again: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.forward + self.backward + self.again

    def __add__(self, other: "Flops") -> "Flops":
        """Adds two parts."""
        return Flops(self.forward + other.forward, self.backward + other.backward, self.again + other.again)

    def __mul__(self, times: int | float) -> "Flops":
        """Counts a part several times."""
        return Flops(self.forward * times, self.backward * times, self.again * times)


NOTHING = Flops(0.0)


def blocks_flops(vlm: Vlm, length: float, *, checkpointing: bool) -> Flops:
    """Counts the language model's layers on one sequence.

    Args:
        vlm: The model, with what trains marked.
        length: Tokens of the sequence.
        checkpointing: Whether its activations are computed again in the backward pass.
    """
    layers = vlm.model.language_model.layers
    blocks = [matrices(block) for block in layers]
    weights = sum(weight for block in blocks for weight, _ in block)
    trained = sum(weight for block in blocks for weight, trains in block if trains)
    last = sum(block[-1][0] for block in blocks)
    attention = 4.0 * length**2 * sum(block.self_attn.q_proj.out_features for block in layers)
    forward = 2.0 * weights * length + attention
    if not any(parameter.requires_grad for parameter in vlm.parameters()):
        return Flops(forward)
    backward = 2 * (weights + trained) * length + 2 * attention
    return Flops(forward, backward, forward - 2 * last * length if checkpointing else 0.0)


def projector_flops(vlm: Vlm, features: float) -> Flops:
    """Counts the projector on so many features of pictures; no gradient goes on from it to the vision tower."""
    found = matrices(vlm.model.multi_modal_projector)
    weights = sum(weight for weight, _ in found)
    trained = sum(weight for weight, trains in found if trains)
    passed = sum(weight for weight, _ in found[1:]) if trained else 0
    return Flops(2.0 * weights * features, 2.0 * (trained + passed) * features)


def classifier_flops(vlm: Vlm, supervised: float) -> Flops:
    """Counts the text classifier on so many supervised tokens of a conversation."""
    classifier = vlm.get_output_embeddings()
    assert isinstance(classifier, nn.Linear)
    once = 2.0 * classifier.weight.numel() * supervised
    reached = any(parameter.requires_grad for parameter in vlm.parameters())
    return Flops(once, once * (int(reached) + int(classifier.weight.requires_grad)))


def head_flops(head: Head, tokens: float) -> Flops:
    """Counts a visual head on so many visual tokens of a conversation; its backward pass as twice its forward pass."""
    once = head.flops_per_token() * tokens
    if isinstance(head, DepthTransformer) and head.gradient_checkpointing:
        return Flops(once, 2 * once, head.states_flops_per_token() * tokens)
    return Flops(once, 2 * once)


def tower_flops(vlm: Vlm) -> float:
    """Counts the vision tower on one crop, by running it on the meta device."""
    tower = vlm.model.vision_tower
    if not isinstance(tower, DiscreteTower):
        return _tower(tower)
    return _tower(tower.tower) + search_flops(tower.quantisation.quantizer) * _positions(tower)


def target_flops(spec: TargetSpec, target: TargetEncoder) -> float:
    """Counts what it takes to make the targets of one crop: a tower of their own where they have one, and the codes."""
    if isinstance(spec, CodesSpec) and spec.cache is not None:
        return 0.0
    assert isinstance(target, (VisualTokenizer, ContinuousTargets))
    codes = _code_flops(target) if isinstance(target, VisualTokenizer) else 0.0
    if spec.own_tower:
        return codes
    height, width = target.preprocessing["size"]["height"], target.preprocessing["size"]["width"]
    return codes + counted(lambda: target.features(torch.empty(1, 3, height, width, device="meta")))


def search_flops(quantizer: ResidualQuantizer) -> float:
    """Counts the search for one vector's codes: its product with every code vector of each depth."""
    return 2.0 * quantizer.depth * quantizer.num_codes * quantizer.dim


def _code_flops(tokenizer: VisualTokenizer) -> float:
    """Counts what leads from the features of one crop to its codes: the block before the quantiser, and the search."""
    searched = search_flops(tokenizer.quantizer) * math.prod(tokenizer.grid)
    if tokenizer.pre is None:
        return searched
    pre, seen = tokenizer.pre, torch.empty(1, math.prod(tokenizer.features.grid), tokenizer.features.dim, device="meta")
    return searched + counted(lambda: pre(seen))


def matrices(module: nn.Module) -> list[tuple[int, bool]]:
    """Lists the weights of a module's matrices in the order in which they are made, and whether each trains."""
    found = [each.weight for each in module.modules() if isinstance(each, nn.Linear)]
    return [(weight.numel(), weight.requires_grad) for weight in found]


def counted(call: Callable[[], object]) -> float:
    """Counts a forward pass while it runs."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def _tower(tower: PreTrainedModel) -> float:
    side = tower.config.image_size
    return counted(lambda: tower(torch.empty(1, 3, side, side, device="meta"), output_hidden_states=True))


def _positions(tower: DiscreteTower) -> int:
    return (tower.config.image_size // tower.config.patch_size) ** 2
