"""Batches of every kind of sample, with the tiny objective that takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asvr.data.collate import Collator
from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset, Source, load_source
from asvr.objective import Objective
from asvr.training.prepare import build_dataset
from asvr.training.stage import build_objective
from tests.parts import shrink


def build(parts: Path, name: str = "tiny-asvr", **changes: str) -> tuple[Objective, ConversationDataset]:
    """The second stage's objective; the dataset holds q0 to q7, two (images), text, and u0 to u7 (images alone)."""
    recipe = shrink(name, parts, **changes)
    stage = recipe.stage("instruct")
    objective, processor = build_objective(recipe, stage, None, seed=0)
    return objective, build_dataset(
        stage, objective, processor, conversations=conversations(parts), companions=[], seed=0
    )


def conversations(parts: Path) -> list[Conversation]:
    records = parts / "records"
    files = ("instruct", "unlabelled")
    return [one for file in files for one in load_source(Source(records / f"{file}.json", records / "images"))]


def collate(dataset: ConversationDataset, ids: Sequence[str], *, left: bool = False) -> dict[str, Any]:
    index = {one.id: number for number, one in enumerate(dataset.conversations)}
    tokenizer = dataset.encode.processor.tokenizer
    return Collator.for_tokenizer(tokenizer, padding_side="left" if left else "right")([dataset[index[i]] for i in ids])


def gradients(objective: Objective) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def losses_and_gradients(objective: Objective, batch: dict[str, Any], **options: Any) -> tuple[dict, dict[str, Tensor]]:
    objective.zero_grad()
    losses = objective(**batch, **options)
    losses["loss"].backward()
    return {name: value.detach() for name, value in losses.items()}, gradients(objective)


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, atol: float = 1e-6) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=atol, msg=lambda m, n=name: f"{n}: {m}")
