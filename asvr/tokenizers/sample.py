"""The sample that k-means works on: vectors of some visual tokens of every picture, written down as they come."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from asvr.tokenizers.ranks import generator
from asvr.tokenizers.reading import BATCH, VectorReader
from asvr.tokenizers.settings import Selection
from asvr.tokenizers.workspace import Workspace

PART = 4 * BATCH
"""Pictures whose vectors are written at once: at most so many are read twice by a fit that was cut short."""


@dataclass(frozen=True)
class Sample:
    """Vectors to fit on and vectors to judge by.

    Args:
        vectors: This process's share of the vectors to fit on, on its device.
        held_out: All vectors of pictures that are kept from the fit, on the device.
        bad: Index of each picture that could not be read, and why.
    """

    vectors: Float[Tensor, "own dim"]
    held_out: Float[Tensor, "held_out dim"]
    bad: list[tuple[int, str]]


def draw_sample(reader: VectorReader, selection: Selection, *, seed: int, workspace: Workspace) -> Sample:
    """Draws visual tokens of each sampled picture; what was written before is not computed again.

    Which tokens are drawn depends on the seed and the picture alone, and which pictures are computed together on the
    selection alone: neither the number of processes nor an interruption changes the sample.
    """
    pictures = selection.sampled
    parts = [pictures[start : start + PART] for start in range(0, len(pictures), PART)]
    own = range(len(parts))[workspace.ranks.slice(len(parts))]
    missing = [part for part in own if not workspace.has(_name(part))]
    batches = reader.read([index for part in missing for index in parts[part]])
    done = len(own) - len(missing)
    for part in missing:
        workspace.on_progress("features", done, len(own))
        num_batches = -(-len(parts[part]) // BATCH)
        _write(_name(part), islice(batches, num_batches), reader, selection, seed=seed, workspace=workspace)
        done += 1
    workspace.on_progress("features", done, len(own))
    workspace.ranks.wait()
    return _read(workspace, len(parts), own, reader.device)


def _name(part: int) -> str:
    return f"sample-{part:05d}"


def _write(
    name: str,
    batches: Iterator[tuple[list[int], Tensor]],
    reader: VectorReader,
    selection: Selection,
    *,
    seed: int,
    workspace: Workspace,
) -> None:
    held_out = selection.held_out
    kept: dict[bool, list[Tensor]] = {False: [], True: []}
    for indices, vectors in batches:
        for index, each in zip(indices, vectors, strict=True):
            kept[index in held_out].append(each[_drawn(index, len(each), selection.positions, seed)].cpu())
    none = torch.empty(0, reader.features.dim)
    workspace.save(
        name, {"vectors": torch.cat([none, *kept[False]]), "held_out": torch.cat([none, *kept[True]])}, bad=reader.bad
    )
    reader.bad = []


def _drawn(picture: int, positions: int, count: int, seed: int) -> Tensor:
    if count == positions:
        return torch.arange(positions)
    return torch.from_numpy(generator(seed, "positions", picture).permutation(positions)[:count])


def _read(workspace: Workspace, parts: int, own: range, device: torch.device) -> Sample:
    vectors, held_out, bad = [], [], []
    for part in range(parts):
        tensors, facts = workspace.load(_name(part))
        held_out.append(tensors["held_out"])
        bad += [(index, reason) for index, reason in facts["bad"]]
        if part in own:
            vectors.append(tensors["vectors"])
    none = held_out[0][:0]
    return Sample(torch.cat([none, *vectors]).to(device), torch.cat(held_out).to(device), bad)
