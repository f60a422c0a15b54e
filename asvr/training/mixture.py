"""From the sources of a stage to what an epoch goes through: the records of each, as often as its weight says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from asvr.data.conversation import Conversation
from asvr.data.dataset import Source, load_source
from asvr.data.manifest import MANIFEST
from asvr.recipes.spec import Stage


@dataclass(frozen=True)
class Taken:
    """What a run takes of one source.

    Args:
        stage: Which stage reads it.
        name: What the log calls it.
        weight: How often an epoch goes through it.
        records: How many usable records it has.
        used: How many an epoch goes through, repeated ones counted each time.
    """

    stage: str
    name: str
    weight: float
    records: int
    used: int


def read_mixture(
    stage: Stage, sources: Sequence[Source], *, seed: int, skip_bad: bool, on_skip: Callable[[str], None]
) -> tuple[list[Conversation], list[Taken]]:
    """Reads a stage's sources and takes its share of each.

    Args:
        stage: Says the weights.
        sources: Copies of the data sets of its mixture, or the user's own data.
        seed: Draws the records of a source that is not taken whole.
        skip_bad: Leave out broken records instead of stopping.
        on_skip: Called with the reason for each record left out.

    Returns:
        The conversations of an epoch, source after source, and what was taken of each.

    Raises:
        FileNotFoundError: As `load_source`.
        ValueError: As `load_source`, or if the sources are not those of the mixture.
    """
    conversations: list[Conversation] = []
    taken = []
    for source, weight in zip(sources, weights(stage, sources), strict=True):
        found = load_source(source, skip_bad=skip_bad, on_skip=on_skip)
        share = take(found, weight, seed=seed)
        if not share:
            raise ValueError(
                f"stages.{stage.name}.mixture.{source.name}.weight is {weight}, which takes none of the {len(found)} "
                f"records of {source.data}: set a larger weight"
            )
        conversations += share
        taken.append(Taken(stage.name, source.label, weight, len(found), len(share)))
    return conversations, taken


def take(conversations: Sequence[Conversation], weight: float, *, seed: int) -> list[Conversation]:
    """Takes `round(weight * n)` of `n` conversations: all of them as often as that goes, the rest drawn once each."""
    times, rest = divmod(round(weight * len(conversations)), len(conversations))
    order = torch.randperm(len(conversations), generator=torch.Generator().manual_seed(seed))
    return [*conversations] * times + [conversations[index] for index in order[:rest].sort().values.tolist()]


def weights(stage: Stage, sources: Sequence[Source]) -> list[float]:
    """Gives the weight of each of a stage's sources; the user's own data has weight one.

    Raises:
        ValueError: If there is no source, or if it could be unclear which weight is whose.
    """
    shares = {share.name: share.weight for share in stage.mixture}
    names = [source.name for source in sources]
    say = f"--data {stage.name}/NAME=FILE with each of {', '.join(shares)}"
    if not sources:
        meant = ", ".join(MANIFEST[name].title for name in shares)
        raise ValueError(
            f"stage {stage.name!r} has no data: it is meant for {meant}; add --data {stage.name}=FILE, or --data-root "
            "FOLDER with copies of these data sets"
        )
    if not any(names):
        weighted = [f"{name} {weight}" for name, weight in shares.items() if weight != 1]
        if weighted:
            raise ValueError(
                f"stage {stage.name!r} weighs its sources ({', '.join(weighted)}), and {sources[0].data} does not say "
                f"which it is: write {say}"
            )
        return [1.0] * len(sources)
    for source in sources:
        if source.name not in shares:
            raise ValueError(f"stage {stage.name!r} has named sources, and {source.data} is none of them: write {say}")
        if names.count(source.name) > 1:
            raise ValueError(f"stage {stage.name!r} is given {source.name!r} {names.count(source.name)} times: once")
    missing = [name for name in shares if name not in names]
    if missing:
        raise ValueError(f"stage {stage.name!r} still lacks {', '.join(missing)}: write {say}")
    return [shares[name] for name in names]
