"""The two branches of a trained tokenizer: what each makes of a tower's hidden states, and its losses by name."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from asvr.targets.pixel_decoder import PixelDecoder
from asvr.targets.pooling import pool_from
from asvr.tokenizer_training.adversarial import AdaptiveWeight, PatchDiscriminator, discriminator_loss, generator_loss
from asvr.tokenizer_training.captions import CaptionTower
from asvr.tokenizer_training.losses import distillation, sigmoid_contrast
from asvr.tokenizer_training.moving_quantizer import MovingQuantizer, Quantised
from asvr.tokenizer_training.perceptual import PerceptualDistance
from asvr.tokenizer_training.spec import AppearanceSpec, SemanticSpec


class Term(NamedTuple):
    """One term of a loss.

    Args:
        value: As it is logged, averaged over the micro-batch.
        weight: What it is multiplied with; a tensor where it changes as training goes on.
    """

    value: Float[Tensor, ""]
    weight: float | Tensor


class Captions(NamedTuple):
    """What is said of the pictures of a whole optimisation step.

    Args:
        texts: Their embeddings, of all micro-batches and processes.
        own: Which text is each picture's of the micro-batch at hand.
    """

    texts: Float[Tensor, "texts width"]
    own: Int[Tensor, " images"]


class Bottleneck(nn.Module):
    """Vectors → block → quantiser → block.

    Args:
        pre: Block before quantisation, or None.
        quantizer: The quantiser.
        post: Block after it, or None.
    """

    def __init__(self, pre: nn.Module | None, quantizer: MovingQuantizer, post: nn.Module | None) -> None:
        super().__init__()
        self.pre, self.quantizer, self.post = pre, quantizer, post

    def narrow(self, features: Float[Tensor, "images positions dim"]) -> Float[Tensor, "images positions width"]:
        """Gives what is quantised."""
        return features if self.pre is None else self.pre(features)

    def forward(self, features: Float[Tensor, "images positions dim"]) -> Quantised:
        """Gives what is left after quantisation and the block behind it."""
        quantised = self.quantizer(self.narrow(features))
        vectors = quantised.vectors if self.post is None else self.post(quantised.vectors)
        return quantised._replace(vectors=vectors.float())


class SemanticBranch(nn.Module):
    """A quantised layer that takes the layer's place in the tower.

    Args:
        bottleneck: Quantises it.
        spec: Its layer and the weights of its losses.
        captions: The teacher's text tower, where the contrastive loss has a weight.
    """

    def __init__(self, bottleneck: Bottleneck, spec: SemanticSpec, captions: CaptionTower | None) -> None:
        super().__init__()
        self.bottleneck, self.spec, self.captions = bottleneck, spec, captions

    def forward(
        self,
        hidden: Float[Tensor, "images positions dim"],
        expected: Float[Tensor, "images positions dim"],
        towers: tuple[PreTrainedModel, PreTrainedModel],
        captions: Captions | None = None,
    ) -> dict[str, Term]:
        """Gives the branch's losses.

        Args:
            hidden: The tower's layer.
            expected: The same layer of the teacher.
            towers: Tower and teacher.
            captions: Of the step, where the contrastive loss has a weight.
        """
        spec = self.spec
        found = self.bottleneck(hidden)
        terms = {
            "feature": Term(distillation(found.vectors, expected), spec.feature_weight),
            "commitment": Term(found.commitment, spec.commitment_weight),
        }
        if not self.pools:
            return terms
        pooled = self.pool(towers[0], found.vectors)
        if spec.pooled_weight:
            with torch.no_grad():
                wanted = self.pool(towers[1], expected)
            terms["pooled"] = Term(distillation(pooled, wanted), spec.pooled_weight)
        if captions is not None and self.captions is not None:
            contrast = sigmoid_contrast(pooled, *captions, self.captions.scale, self.captions.bias)
            terms["contrastive"] = Term(contrast, spec.contrastive_weight)
        return terms

    @property
    def pools(self) -> bool:
        """Whether any of its losses looks at the pooled output."""
        return self.spec.pooled_weight > 0 or self.captions is not None

    def pool(
        self, tower: PreTrainedModel, hidden: Float[Tensor, "images positions dim"]
    ) -> Float[Tensor, "images dim"]:
        """Puts a hidden state in the place of the branch's layer; gives the tower's pooled output."""
        return pool_from(tower, hidden, self.spec.layer)


class AppearanceBranch(nn.Module):
    """Quantised shallow layers, decoded into the picture.

    Args:
        bottleneck: Quantises them.
        decoder: Decodes them.
        spec: The weights of its losses.
        perceptual: The perceptual loss, where it has a weight.
    """

    def __init__(
        self,
        bottleneck: Bottleneck,
        decoder: PixelDecoder,
        spec: AppearanceSpec,
        perceptual: PerceptualDistance | None,
    ) -> None:
        super().__init__()
        self.bottleneck, self.decoder, self.spec, self.perceptual = bottleneck, decoder, spec, perceptual
        self.discriminator: PatchDiscriminator | None = None
        if spec.adversarial.weight:
            self.discriminator = PatchDiscriminator(spec.adversarial.channels, spec.adversarial.levels)
        self.adaptive = AdaptiveWeight()

    def forward(
        self,
        hidden: Float[Tensor, "images positions dim"],
        pixels: Float[Tensor, "images 3 height width"],
        *,
        adversarial: bool = False,
    ) -> tuple[dict[str, Term], Float[Tensor, "images 3 height width"]]:
        """Gives the branch's losses and the decoded pixels.

        Args:
            hidden: The tower's layers, side by side.
            pixels: The pictures.
            adversarial: Whether the discriminator has begun.
        """
        spec = self.spec
        found = self.bottleneck(hidden)
        decoded = self.decoder(found.vectors).float()
        terms = {
            "pixel": Term(F.mse_loss(decoded, pixels), spec.pixel_weight),
            "commitment": Term(found.commitment, spec.commitment_weight),
        }
        if self.perceptual is not None:
            terms["perceptual"] = Term(self.perceptual(decoded, pixels), spec.perceptual.weight)
        if adversarial and self.discriminator is not None:
            terms["generator"] = self._generator(self.discriminator, decoded, terms)
        return terms, decoded

    def _generator(self, discriminator: PatchDiscriminator, decoded: Tensor, terms: dict[str, Term]) -> Term:
        discriminator.requires_grad_(False)
        value = generator_loss(discriminator(decoded))
        discriminator.requires_grad_(True)
        if decoded.requires_grad:
            # DualToken adds the two without their weights here.
            reconstruction = terms["pixel"].value + (terms["perceptual"].value if "perceptual" in terms else 0)
            self.adaptive.see(reconstruction, value, self.decoder.network.conv_out.weight)
        return Term(value, self.adaptive.value * self.spec.adversarial.weight)

    def judge(
        self, pixels: Float[Tensor, "images 3 height width"], decoded: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, ""]:
        """Gives the discriminator's loss."""
        assert self.discriminator is not None
        return discriminator_loss(self.discriminator(pixels), self.discriminator(decoded.detach()))


def total(terms: dict[str, Term]) -> Float[Tensor, ""]:
    """Adds up terms by their weights."""
    return torch.stack([term.value * term.weight for term in terms.values()]).sum()
