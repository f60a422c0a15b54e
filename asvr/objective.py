"""The training objective: a stock model's text loss plus a weighted sum of visual losses (Eq. 2 and 3 of the paper)."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import LlavaNextConfig, PreTrainedModel
from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

from asvr.interfaces import HeadLoss, TargetEncoder, VisualHead
from asvr.losses import ClassifierLoss, linear_cross_entropy
from asvr.subset import check_fraction, score_some

Alignment = Literal["next", "same"]
"""Which hidden state reconstructs a visual token: `"next"`, the one before it (the paper's Eq. 2, next-token
prediction), or `"same"`, the one at its own position (what the authors' release computes, `asvr_arch.py:337`)."""


class Supervision(nn.Module):
    """One visual loss: a frozen target encoder, the head that learns to reconstruct it, and its weight.

    Args:
        target: Where the targets come from; its parameters are frozen.
        head: Scores hidden states against targets.
        weight: Factor of this loss in the objective's sum.
        layer: Which hidden state of the language model the head reads; -1 is the one that the text head reads.
        fraction: Share of a batch's visual tokens that a training step supervises, drawn anew each time.

    Raises:
        ValueError: If the fraction is not above 0 and at most 1.
    """

    def __init__(
        self, target: TargetEncoder, head: VisualHead, weight: float = 1.0, layer: int = -1, *, fraction: float = 1.0
    ) -> None:
        super().__init__()
        check_fraction(fraction)
        self.target = target.requires_grad_(False)
        self.head = head
        self.weight = weight
        self.layer = layer
        self.fraction = fraction

    def forward(
        self,
        hidden: Float[Tensor, "tokens hidden"],
        prepared: Shaped[Tensor, "images ..."] | None,
        index: Int[Tensor, " tokens"] | None = None,
    ) -> HeadLoss:
        """Scores the visual tokens of a batch; `prepared` is None where the batch has no image.

        In training a fraction below 1 gives estimates (`score_some`), in evaluation every token is scored.

        Args:
            hidden: The states that reconstruct the visual tokens.
            prepared: Images, or crops of them, as the target encoder takes them.
            index: Which of all their positions each visual token shows; by default the tokens are the positions.

        Raises:
            ValueError: If the targets and the visual tokens differ in number.
        """
        target = self._targets(prepared, index, hidden.device)
        if len(target) != len(hidden):
            raise ValueError(
                f"{len(hidden)} visual tokens in the batch, but targets for {len(target)}: the target's grid "
                f"{self.target.grid} must match the vision tower's, and no image may be truncated"
            )
        if self.fraction < 1 and self.training:
            return score_some(self.head, hidden, target, fraction=self.fraction)
        return self.head(hidden, target)

    @torch.no_grad()
    def _targets(
        self, prepared: Shaped[Tensor, "images ..."] | None, index: Int[Tensor, " tokens"] | None, device: torch.device
    ) -> Shaped[Tensor, "targets ..."]:
        if prepared is None:
            return self.target.encode_none(device)
        target = self.target.encode(prepared).flatten(0, 1)
        return target if index is None else target[index]


class Objective(nn.Module):
    """A stock vision-language model wrapped for training: its text loss plus a weighted sum of visual losses.

    The model is any Hugging Face image-text-to-text model and is left as it is, so what training saves loads with
    `from_pretrained` and no code of this package. With no supervision the objective is the model's own loss.

    Args:
        vlm: The model to train.
        supervision: Visual losses by the name they are logged under.
        alignment: Which hidden state reconstructs a visual token.
    """

    def __init__(
        self, vlm: PreTrainedModel, supervision: Mapping[str, Supervision], alignment: Alignment = "next"
    ) -> None:
        super().__init__()
        self.vlm = vlm
        self.supervision = nn.ModuleDict(supervision)
        self.alignment: Alignment = alignment

    def forward(
        self,
        *,
        labels: Int[Tensor, "batch length"],
        visual_mask: Bool[Tensor, "batch length"],
        targets: Mapping[str, Tensor],
        target_index: Int[Tensor, " tokens"] | None = None,
        num_items: Mapping[str, Tensor] | None = None,
        by_row: bool = False,
        conversation: Int[Tensor, "batch length"] | None = None,
        **inputs: Tensor,
    ) -> dict[str, Any]:
        """Computes every loss of one batch.

        Args:
            labels: Token ids to be predicted, -100 where there is no text loss.
            visual_mask: Positions of visual tokens; each has a target.
            targets: By name of a supervision, what its target encoder's `prepare` gave, images in reading order;
                empty where the batch has no image.
            target_index: Which position of those images each visual token shows, over the whole batch, where the
                tokens are not just all positions in order.
            num_items: How many supervised text tokens and visual tokens the whole optimisation step has, over its
                micro-batches and ranks (`count_items`); both losses are divided by it. This batch's own by default.
            by_row: Whether to say what each row of the batch adds.
            conversation: Number of each position's conversation, -1 for padding, where rows hold several: these then
                stand for rows.
            inputs: The model's own inputs.

        Returns:
            `loss`, to descend, and, detached, each term as `loss_text`, `loss_<name>`, and the head's figures as
            `<name>_<figure>`. All are sums over this batch divided by `num_items`, so micro-batches and ranks add up.
            With `by_row` also `rows`: each term's sum over the tokens of each row, `(batch,)`, by the term's name.
        """
        num_items = num_items or count_items(labels, visual_mask)
        states = self._states(inputs)
        scored, supervised = self._text_loss(states[-1], labels)
        text = scored.total / num_items["text"].clamp(min=1)
        total, terms = text, {"loss_text": text.detach()}
        row = torch.arange(len(labels), device=labels.device).unsqueeze(1).expand_as(labels)
        row, num_rows = (row, len(labels)) if conversation is None else (conversation, int(conversation.max()) + 1)
        rows = {"loss_text": _by_row(scored.loss, row[supervised], num_rows)}
        attention_mask = inputs.get("attention_mask")
        predictors = align(visual_mask, self.alignment, attention_mask) if self.supervision else visual_mask
        scale = 1 / num_items["visual"].clamp(min=1)
        for name, term in self.terms():
            head_loss: HeadLoss = term(states[term.layer][predictors], targets.get(name), target_index)
            loss = head_loss.total * scale
            total = total + term.weight * loss
            terms[f"loss_{name}"] = loss.detach()
            terms |= {f"{name}_{figure}": values.sum() * scale for figure, values in head_loss.metrics.items()}
            rows[f"loss_{name}"] = _by_row(head_loss.per_token, row[predictors], num_rows)
        if self.training and "pixel_values" not in inputs:
            total = total + self._touch_vision()
        return {"loss": total, **terms, **({"rows": rows} if by_row else {})}

    def terms(self) -> Iterator[tuple[str, Supervision]]:
        """Gives each visual loss with the name it is logged under."""
        for name, term in self.supervision.items():
            assert isinstance(term, Supervision)
            yield name, term

    def _states(self, inputs: dict[str, Tensor]) -> dict[int, Float[Tensor, "batch length hidden"]]:
        """Runs the model and gives the hidden states that the text head and the visual heads read, by layer."""
        layers = {term.layer for _, term in self.terms()} - {-1}
        if not layers:
            return {-1: self.vlm.base_model(**inputs, use_cache=False).last_hidden_state}
        states = self.vlm.base_model(**inputs, use_cache=False, output_hidden_states=True).hidden_states
        return {layer: states[layer] for layer in (-1, *layers)}

    def _text_loss(
        self, states: Float[Tensor, "batch length hidden"], labels: Int[Tensor, "batch length"]
    ) -> tuple[ClassifierLoss, Bool[Tensor, "batch length"]]:
        """Gives the supervised tokens' cross-entropy, and where each is predicted; logits exist at those alone."""
        labels = F.pad(labels[:, 1:], (0, 1), value=-100)
        supervised = labels != -100
        classifier = self.vlm.get_output_embeddings()
        assert isinstance(classifier, nn.Linear)
        scored = linear_cross_entropy(states[supervised], classifier.weight, labels[supervised], bias=classifier.bias)
        return scored, supervised

    def _touch_vision(self) -> Float[Tensor, ""]:
        """Runs a blank image for a loss of exactly zero, so that every rank reaches the same parameters on every step.

        Without it a rank whose batch has no image leaves DDP, FSDP and ZeRO-3 waiting for its gradients.
        """
        blank = blank_image(self.vlm)
        # Every image-text-to-text model has this method, but `PreTrainedModel` does not declare it.
        features = self.vlm.get_image_features(**blank, return_dict=True).pooler_output  # type: ignore[operator]
        return torch.stack([feature.sum() for feature in features]).sum() * 0.0


def blank_image(vlm: PreTrainedModel) -> dict[str, Tensor]:
    """Makes the inputs of a picture of zeros, of the vision tower's own size and in the model's dtype."""
    config, weight = vlm.config, next(vlm.parameters())
    side = config.vision_config.image_size
    if not isinstance(config, LlavaNextConfig):
        return {"pixel_values": weight.new_zeros(1, 3, side, side)}
    num_crops = image_size_to_num_patches((side, side), config.image_grid_pinpoints, side)
    sizes = torch.tensor([[side, side]], device=weight.device)
    return {"pixel_values": weight.new_zeros(1, num_crops, 3, side, side), "image_sizes": sizes}


def _by_row(per_token: Float[Tensor, " tokens"], row: Int[Tensor, " tokens"], num_rows: int) -> Float[Tensor, " rows"]:
    return per_token.new_zeros(num_rows).index_add(0, row, per_token)


def count_items(labels: Int[Tensor, "batch length"], visual_mask: Bool[Tensor, "batch length"]) -> dict[str, Tensor]:
    """Counts what a batch's losses are divided by: supervised text tokens and visual tokens."""
    return {"text": (labels[:, 1:] != -100).sum(), "visual": visual_mask.sum()}


def align(
    visual_mask: Bool[Tensor, "batch length"],
    alignment: Alignment,
    attention_mask: Int[Tensor, "batch length"] | None = None,
) -> Bool[Tensor, "batch length"]:
    """Marks the hidden states that reconstruct the marked tokens: the same positions, or each one earlier.

    Raises:
        ValueError: If `alignment` is `"next"` and a visual token has no token before it.
    """
    if alignment == "same":
        return visual_mask
    predictors = F.pad(visual_mask[:, 1:], (0, 1))
    headless = visual_mask[:, 0].any()
    if attention_mask is not None:
        headless = headless | (predictors & (attention_mask == 0)).any()
    if headless:
        raise ValueError(
            'a visual token is the first token of its sequence, and alignment="next" predicts it from the one '
            'before: let the chat template begin with the tokenizer\'s bos_token, or use alignment="same"'
        )
    return predictors
