"""How well a run's head reconstructs the codes of pictures, before training and after each stage."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from asvr.data.collate import Collator
from asvr.data.conversation import Conversation
from asvr.objective import align
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CodeTargets
from asvr.training.prepare import build_dataset
from asvr.training.stage import build_objective

NUM_SHOWN = 3
"""Pictures whose codes are kept for drawing."""


def write_reconstruction(recipe: Recipe, run: Path, pictures: Sequence[Path], *, seed: int) -> None:
    """Writes `reconstruction.json`: the head's own choice of codes, a depth transformer's given its own before it.

    Figures are of the recipe's first visual loss, one over codes; accuracies are shares of codes, per depth.
    `most_frequent` is the share that is right when the commonest code of these pictures is always chosen.
    """
    name = next(iter(recipe.stages[-1].supervision))
    moments = {"untrained": None, **{stage.name: run / stage.name for stage in recipe.stages}}
    results = {moment: read_codes(recipe, folder, pictures, seed=seed) for moment, folder in moments.items()}
    codes = results["untrained"].codes
    commonest = codes.flatten(0, 1).mode(0).values
    content = {
        "supervision": name,
        "grid": list(results["untrained"].target.grid),
        "num_codes": results["untrained"].target.quantizer.num_codes,
        "num_pictures": len(pictures),
        "accuracy": {moment: _share(codes == found.guessed) for moment, found in results.items()},
        "most_frequent": _share(codes == commonest),
        "pictures": [
            {
                "image": str(path.resolve()),
                "codes": codes[index].tolist(),
                "reconstructed": {moment: found.guessed[index].tolist() for moment, found in results.items()},
            }
            for index, path in enumerate(pictures[:NUM_SHOWN])
        ],
    }
    (run / "reconstruction.json").write_text(json.dumps(content) + "\n")


class Reconstruction(NamedTuple):
    """Codes of pictures, and what a head makes of a model's hidden states.

    Args:
        codes: The targets.
        guessed: The head's own choice.
        target: The target encoder.
    """

    codes: Int[Tensor, "pictures positions depth"]
    guessed: Int[Tensor, "pictures positions depth"]
    target: CodeTargets


@torch.no_grad()
def read_codes(recipe: Recipe, previous: Path | None, pictures: Sequence[Path], *, seed: int) -> Reconstruction:
    """Gives the codes of whole pictures, and what the head of a finished stage makes of the model's hidden states."""
    stage = recipe.stages[-1]
    objective, processor = build_objective(recipe, stage, previous, seed=seed)
    alone = [Conversation(id=path.name, images=(str(path),), turns=(), category="") for path in pictures]
    dataset = build_dataset(stage, objective, processor, conversations=alone, companions=[], seed=seed)
    batch = Collator.for_tokenizer(processor.tokenizer)([dataset[index] for index in range(len(alone))])
    visual_mask, targets, index = batch.pop("visual_mask"), batch.pop("targets"), batch.pop("target_index", None)
    del batch["labels"]
    states = objective.eval().vlm.base_model(**batch).last_hidden_state
    name, term = next(objective.terms())
    codes = term.target.encode(targets[name])
    shown = codes.flatten(0, 1) if index is None else codes.flatten(0, 1)[index]
    guessed = term.head.reconstruct(states[align(visual_mask, objective.alignment)])  # type: ignore[attr-defined]
    # The whole picture comes first; of tiles each picture has its own number, so they are left out.
    counts, positions = visual_mask.sum(1).tolist(), codes.shape[1]
    codes, guessed = (torch.stack([one[:positions] for one in each.split(counts)]) for each in (shown, guessed))
    assert isinstance(term.target, CodeTargets)
    return Reconstruction(codes, guessed, term.target)


def _share(right: Tensor) -> list[float]:
    return right.flatten(0, 1).double().mean(0).tolist()
