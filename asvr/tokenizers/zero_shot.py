"""Zero-shot retention: what quantising the features leaves of a contrastive model's finding captions by pictures."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
)

from asvr.targets.checkpoints import resolve
from asvr.targets.pooling import can_pool, pool_from
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.intervals import mean_interval, ratio_interval

CHUNK = 256
"""Texts embedded, or queries scored, at once."""

SHAPE = ("hidden_size", "num_hidden_layers", "patch_size", "image_size")
"""What the configurations of two vision towers must have in common for one to go on where the other stopped."""


class ZeroShot:
    """Collects pooled features, as the teacher gives them and as they are after quantisation, and compares retrieval.

    Args:
        teacher: A SigLIP checkpoint with its text tower: hub name or folder.
        tokenizer: Over one hidden state of a SigLIP tower of the teacher's shape. Its own tower continues from the
            reconstructed features, the teacher's sees the originals; where the tokenizer left the tower untouched they
            are equal.

    Raises:
        ValueError: If the checkpoint has no text tower that is known, or the tokenizer's features are not one of its
            tower's hidden states, reconstructed.
    """

    def __init__(self, teacher: str, tokenizer: VisualTokenizer) -> None:
        config = AutoConfig.from_pretrained(resolve(teacher))
        if not isinstance(config, SiglipConfig):
            raise ValueError(
                f"--teacher {teacher} is a {config.model_type!r} model: zero-shot retention needs SigLIP, or SigLIP2 "
                "of fixed resolution, with its text tower"
            )
        self.tower, self.layer = _continued(tokenizer)
        shapes = self.tower.config.to_dict(), config.to_dict()["vision_config"]
        for name in SHAPE:
            own, wanted = (shape[name] for shape in shapes)
            if own != wanted:
                raise ValueError(
                    f"--teacher {teacher} has {name} {wanted}, the tokenizer's tower {own}: give the checkpoint whose "
                    "vision tower the tokenizer was made of"
                )
        self.tokenizer = tokenizer
        device = tokenizer.quantizer.books.device
        self.teacher: SiglipModel = AutoModel.from_pretrained(resolve(teacher), dtype=torch.float32).to(device).eval()
        self.words: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(resolve(teacher))
        self.originals: list[Tensor] = []
        self.restored: list[Tensor] = []

    @torch.no_grad()
    def add(self, prepared: Shaped[Tensor, "images ..."], codes: Int[Tensor, "images positions depth"]) -> None:
        """Adds pictures with their codes."""
        self.originals.append(self.teacher.vision_model(prepared, interpolate_pos_encoding=True).pooler_output.cpu())
        self.restored.append(pool_from(self.tower, self.tokenizer.reconstruct(codes), self.layer).cpu())

    @torch.no_grad()
    def result(self, captions: Sequence[str]) -> dict[str, Any]:
        """Compares retrieval over all pictures added.

        Args:
            captions: Of each picture, in order; pictures may share one.

        Returns:
            `pictures` and `captions` (different ones), and for both directions (`image_to_text`, `text_to_image`)
            recall@1 of the `original` and of the `reconstructed` features, the `retention` (their ratio), each with a
            95 % interval, and `chance`. `retention` is None where the original features find nothing.
        """
        texts = list(dict.fromkeys(captions))
        label_of = {text: label for label, text in enumerate(texts)}
        labels = torch.tensor([label_of[caption] for caption in captions])
        embedded = F.normalize(self._embed(texts), dim=1)
        pairs = [F.normalize(torch.cat(pooled), dim=1) for pooled in (self.restored, self.originals)]
        own_text = torch.arange(len(texts))
        found = {
            "image_to_text": [recall(images, embedded, labels, own_text) for images in pairs],
            "text_to_image": [recall(embedded, images, own_text, labels) for images in pairs],
        }
        chance = {
            "image_to_text": 1 / len(texts),
            "text_to_image": float((own_text[:, None] == labels).double().mean()),
        }
        directions = {name: {**_compared(*hits), "chance": chance[name]} for name, hits in found.items()}
        return {"pictures": len(labels), "captions": len(texts), **directions}

    def _embed(self, texts: list[str]) -> Tensor:
        length = self.teacher.text_model.config.max_position_embeddings
        embedded = []
        for start in range(0, len(texts), CHUNK):
            # SigLIP's text tower was trained on texts of full length, and takes its pooled output from the last place.
            ids = self.words(
                texts[start : start + CHUNK],
                padding="max_length",
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )["input_ids"]
            device = self.tokenizer.quantizer.books.device
            embedded.append(self.teacher.text_model(ids.to(device)).pooler_output.cpu())  # type: ignore[union-attr]
        return torch.cat(embedded)


def recall(
    queries: Float[Tensor, "queries dim"],
    found: Float[Tensor, "found dim"],
    query_labels: Int[Tensor, " queries"],
    found_labels: Int[Tensor, " found"],
) -> Float[Tensor, " queries"]:
    """Says for each query whether what scores highest has its label.

    Where several score the same, the share of them that is right counts: what a fair draw among them would find.
    """
    hits = []
    for part, labels in zip(queries.split(CHUNK), query_labels.split(CHUNK), strict=True):
        scores = part @ found.T
        best = scores == scores.amax(1, keepdim=True)
        right = best & (labels[:, None] == found_labels)
        hits.append(right.sum(1).double() / best.sum(1))
    return torch.cat(hits)


def _compared(reconstructed: Tensor, original: Tensor) -> dict[str, Any]:
    both = torch.stack([reconstructed, original], dim=1)
    return {
        "original": mean_interval(original),
        "reconstructed": mean_interval(reconstructed),
        "retention": ratio_interval(both) if original.any() else None,
    }


def _continued(tokenizer: VisualTokenizer) -> tuple[SiglipVisionModel, int]:
    """Gives the tower that can go on from a tokenizer's reconstruction, and from which of its hidden states."""
    features = tokenizer.features
    restores = tokenizer.decoder is None and (tokenizer.pre is None or tokenizer.post is not None)
    if (
        not isinstance(features, TowerFeatures)
        or not isinstance(features.layer, int)
        or not restores
        or tokenizer.grid != features.grid
    ):
        raise ValueError(
            "zero-shot retention needs a tokenizer whose codes are turned back into one hidden state of a vision "
            "tower, at the tower's own grid: leave --teacher out for this one"
        )
    if not can_pool(features.tower):
        raise ValueError(
            f"zero-shot retention needs a SigLIP tower with its pooling head, the tokenizer has a "
            f"{features.tower.config.model_type!r} tower: leave --teacher out for this one"
        )
    return features.tower, features.layer
