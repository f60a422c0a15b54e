"""Each loss by the source of its conversations, for the log."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from asvr.data.conversation import Conversation

TEXT = "loss_text"
"""The one loss over text tokens; every other is over visual tokens."""


def source_names(conversations: Iterable[Conversation]) -> tuple[str, ...]:
    """Lists the sources of conversations, in the order in which they come; a single one needs no telling apart."""
    names = tuple(dict.fromkeys(one.source for one in conversations))
    return names if len(names) > 1 else ()


class SourceLosses:
    """Sums of each loss, and counts of the tokens that it is over, by source.

    Args:
        names: What the sources are called.
        device: Where the sums are kept.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names = tuple(names)
        self.device = device
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}

    def add(
        self,
        source: Int[Tensor, " rows"],
        rows: Mapping[str, Tensor],
        *,
        labels: Int[Tensor, "batch length"],
        visual_mask: Bool[Tensor, "batch length"],
        conversation: Int[Tensor, "batch length"] | None = None,
    ) -> None:
        """Adds one micro-batch.

        Args:
            source: Each row's place in the names; each conversation's, where rows hold several.
            rows: Each loss, summed over the tokens of each row, `(rows,)`, as `Objective` gives it.
            labels: Token ids to be predicted, -100 where there is no text loss.
            visual_mask: Positions of visual tokens that have a target.
            conversation: Number of each position's conversation, where rows hold several.
        """
        if conversation is None:
            conversation = torch.arange(len(labels), device=labels.device).unsqueeze(1).expand_as(labels)
        text = torch.bincount(conversation[:, 1:][labels[:, 1:] != -100], minlength=len(source))
        visual = torch.bincount(conversation[visual_mask], minlength=len(source))
        for name, summed in rows.items():
            for kept, values in ((self.sums, summed), (self.counts, text if name == TEXT else visual)):
                kept.setdefault(name, torch.zeros(len(self.names), dtype=values.dtype, device=self.device))
                kept[name].index_add_(0, source, values)

    def take(self, over_ranks: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Gives the means since the last call, and starts afresh.

        Args:
            over_ranks: Sums a tensor over the ranks; ranks may have seen different sources.

        Returns:
            The mean loss per token as `loss_text[NAME]` and the like; a source without such tokens has none.
        """
        means = {}
        for name, summed in self.sums.items():
            counts = over_ranks(self.counts[name]).tolist()
            sums = over_ranks(summed).tolist()
            for source, total, count in zip(self.names, sums, counts, strict=True):
                if count:
                    means[f"{name}[{source}]"] = total / count
        self.sums.clear()
        self.counts.clear()
        return means
