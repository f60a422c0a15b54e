"""How well a trained tokenizer does on pictures that it was not trained on."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from asvr.tokenizer_training.batches import TrainingPictures
from asvr.tokenizer_training.branches import SemanticBranch
from asvr.tokenizer_training.objective import TokenizerObjective
from asvr.tokenizers.health import health, verdict

AT_ONCE = 16


@torch.no_grad()
def judge(objective: TokenizerObjective, pictures: TrainingPictures) -> dict[str, dict]:
    """Gives the figures of each branch by its name, in fp32, on the pictures that were kept from training.

    Returns:
        Of each branch `pictures`, `health`, `judged_on` and, unless visual tokens are fewer than codes, `verdict`;
        of the semantic one the mean cosines of the layer and of the pooled output to the teacher's; of the pixel branch
        `psnr`, the mean over pictures in dB.
    """
    objective.eval()
    vectors: dict[str, list[Tensor]] = {name: [] for name in objective.bottlenecks()}
    figures: dict[str, dict[str, list[Tensor]]] = {name: {} for name in vectors}
    for pixels in _batches(objective, pictures):
        hidden = objective.hidden(pixels)
        for name, one in objective.bottlenecks().items():
            vectors[name].append(one.narrow(hidden[name]).flatten(0, 1).float())
        for name, found in _figures(objective, hidden, pixels).items():
            for key, values in found.items():
                figures[name].setdefault(key, []).append(values)
    return {name: _report(objective, name, vectors[name], figures[name]) for name in vectors}


def _batches(objective: TokenizerObjective, pictures: TrainingPictures) -> Iterator[Tensor]:
    device, readable = next(objective.parameters()).device, []
    for index in pictures.held_out:
        try:
            readable.append(pictures.prepare(pictures.pictures.open(index)))
        except ValueError:
            # Training itself stops at such a picture, or counts it.
            if not pictures.skip_bad:
                raise
        if len(readable) == AT_ONCE:
            yield torch.stack(readable).to(device)
            readable = []
    if readable:
        yield torch.stack(readable).to(device)


def _figures(
    objective: TokenizerObjective, hidden: dict[str, Tensor], pixels: Tensor
) -> dict[str, dict[str, Float[Tensor, " images"]]]:
    found = {}
    if objective.semantic is not None:
        expected = hidden["semantic"] if objective.teacher is None else objective.expected(pixels)
        found["semantic"] = _cosines(objective, objective.semantic, hidden["semantic"], expected)
    if objective.appearance is not None:
        decoded = objective.appearance.decoder(objective.appearance.bottleneck(hidden["appearance"]).vectors)
        deviation = torch.tensor(objective.features.processor.to_dict()["image_std"], device=pixels.device)
        # Pixels are in [0, 1] before they are normalised, and clamped there as any picture is.
        mean = torch.tensor(objective.features.processor.to_dict()["image_mean"], device=pixels.device)
        shown = [(one * deviation.view(3, 1, 1) + mean.view(3, 1, 1)).clamp(0, 1) for one in (pixels, decoded)]
        errors = (shown[0] - shown[1]).square().flatten(1).mean(1)
        found["appearance"] = {"psnr": -10 * errors.log10()}
    return found


def _cosines(
    objective: TokenizerObjective, branch: SemanticBranch, given: Tensor, expected: Tensor
) -> dict[str, Tensor]:
    rebuilt = branch.bottleneck(given).vectors
    found = {"feature_cosine": F.cosine_similarity(rebuilt, expected, dim=-1).mean(1)}
    if branch.pools:
        teacher = objective.teacher or objective.features
        pooled, wanted = branch.pool(objective.features.tower, rebuilt), branch.pool(teacher.tower, expected)
        found["pooled_cosine"] = F.cosine_similarity(pooled, wanted, dim=-1)
    return found


def _report(objective: TokenizerObjective, name: str, vectors: list[Tensor], figures: dict[str, list[Tensor]]) -> dict:
    if not vectors:
        return {"pictures": 0}
    given, quantizer = torch.cat(vectors), objective.bottlenecks()[name].quantizer.quantizer
    found = health(given, quantizer.codebooks)
    means = {key: float(torch.cat(values).mean()) for key, values in figures.items()}
    count = sum(len(values) for values in next(iter(figures.values())))
    # Fewer vectors than codes could not use them, however good the codes.
    judged: dict[str, Any] = {"verdict": verdict(found)} if len(given) >= quantizer.num_codes else {}
    judged["judged_on"] = {"pictures": "held out", "vectors": len(given)}
    return {"pictures": count, **means, "health": found, **judged}
