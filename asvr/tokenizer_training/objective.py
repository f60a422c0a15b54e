"""Everything that a tokenizer recipe trains, and its losses on one micro-batch."""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizer_training.branches import AppearanceBranch, Bottleneck, Captions, SemanticBranch, Term


class Outcome(NamedTuple):
    """What a micro-batch came to.

    Args:
        terms: Terms of the loss by the name that they are logged under.
        decoded: Decoded pixels, where there is a pixel branch.
    """

    terms: dict[str, Term]
    decoded: Tensor | None


class TokenizerObjective(nn.Module):
    """A tower, its teacher, and one or two branches on its hidden states.

    Args:
        features: The layers of both branches, the semantic one's first.
        semantic: The semantic branch, if there is one.
        appearance: The pixel branch, if there is one.
        train_tower: Whether the tower moves; the teacher is then a copy of what it was.
    """

    def __init__(
        self,
        features: TowerFeatures,
        semantic: SemanticBranch | None,
        appearance: AppearanceBranch | None,
        *,
        train_tower: bool,
    ) -> None:
        super().__init__()
        self.features = features.requires_grad_(train_tower)
        self.trains_tower = train_tower
        self.semantic, self.appearance = semantic, appearance
        self.teacher: TowerFeatures | None = None
        if semantic is not None and train_tower:
            self.teacher = copy.deepcopy(features).requires_grad_(False)

    def train(self, mode: bool = True) -> "TokenizerObjective":
        """Lets the quantisers follow what they see; networks that came trained stay in evaluation mode."""
        super().train(False)
        for bottleneck in self.bottlenecks().values():
            bottleneck.train(mode)
        return self

    def bottlenecks(self) -> dict[str, Bottleneck]:
        """Gives the bottleneck of each branch by the branch's name."""
        branches = {"semantic": self.semantic, "appearance": self.appearance}
        return {name: branch.bottleneck for name, branch in branches.items() if branch is not None}

    def hidden(
        self, pixels: Float[Tensor, "images 3 height width"]
    ) -> dict[str, Float[Tensor, "images positions dim"]]:
        """Gives the tower's layers that each branch quantises, by the branch's name."""
        features = self.features(pixels)
        cut = self.features.tower.config.hidden_size if self.semantic is not None else 0
        return {name: features[..., :cut] if name == "semantic" else features[..., cut:] for name in self.bottlenecks()}

    def forward(
        self,
        pixels: Float[Tensor, "images 3 height width"],
        captions: Captions | None = None,
        *,
        adversarial: bool = False,
    ) -> Outcome:
        """Gives the losses of both branches.

        Args:
            pixels: Prepared pictures.
            captions: Of the step, where the contrastive loss has a weight.
            adversarial: Whether the discriminator has begun.
        """
        hidden = self.hidden(pixels)
        terms: dict[str, Term] = {}
        decoded = None
        if self.semantic is not None:
            given, teacher = hidden["semantic"], self.teacher or self.features
            # A tower that stands still is its own teacher.
            expected = given.detach() if self.teacher is None else self.expected(pixels)
            found = self.semantic(given, expected, (self.features.tower, teacher.tower), captions)
            terms |= {f"semantic_{name}": term for name, term in found.items()}
        if self.appearance is not None:
            found, decoded = self.appearance(hidden["appearance"], pixels, adversarial=adversarial)
            terms |= {f"appearance_{name}": term for name, term in found.items()}
        return Outcome(terms, decoded)

    @torch.no_grad()
    def expected(self, pixels: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images positions dim"]:
        """Gives the teacher's layer that the semantic branch must keep; only where the tower moves."""
        assert self.teacher is not None
        return self.teacher(pixels)[..., : self.teacher.tower.config.hidden_size]

    def trained(self) -> dict[str, nn.Parameter]:
        """Gives the parameters that the main optimiser moves by name: all that train, but the discriminator's."""
        named = {name: one for name, one in self.named_parameters() if one.requires_grad}
        return {name: one for name, one in named.items() if not name.startswith("appearance.discriminator.")}

    def tokenizers(self) -> dict[str, VisualTokenizer]:
        """Gives what was trained as ordinary tokenizers by the branch's name; they share this one's networks."""
        tower, processor = self.features.tower, self.features.processor
        made = {}
        for name, bottleneck in self.bottlenecks().items():
            first = self.semantic is not None and name == "appearance"
            layers = self.features.layers[:1] if name == "semantic" else self.features.layers[int(first) :]
            made[name] = VisualTokenizer(
                TowerFeatures(tower, processor, layers[0] if len(layers) == 1 else layers),
                bottleneck.quantizer.quantizer,
                pre=bottleneck.pre,
                post=bottleneck.post,
                decoder=self.appearance.decoder if self.appearance is not None and name == "appearance" else None,
            )
        return made
