"""How pictures enter the language model, as values: the tower's features, their codes, several scales, or crops."""

from dataclasses import dataclass

from asvr.models.any_resolution import pinpoints


@dataclass(frozen=True, kw_only=True)
class ContinuousInput:
    """The vision tower's features of the whole picture (the paper's "continuous visual features")."""


@dataclass(frozen=True, kw_only=True)
class DiscreteInput:
    """The vectors that a visual tokenizer's codes stand for (Table 1, "discrete visual features").

    Args:
        tokenizer: Folder of a visual tokenizer over the vision tower's own features.
    """

    tokenizer: str


@dataclass(frozen=True, kw_only=True)
class MultiScaleInput:
    """The tower's features at several scales, side by side: more detail in the same number of visual tokens (S2).

    Args:
        scales: Sides of the picture in multiples of the tower's own, from small to large, beginning with 1.
    """

    scales: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        """Refuses scales that do not begin with the whole picture, or do not grow."""
        if self.scales[:1] != (1,) or list(self.scales) != sorted(set(self.scales)):
            raise ValueError(
                f"model.visual_input.scales is {','.join(map(str, self.scales))}: whole numbers from small to large, "
                "beginning with 1, such as the paper's 1,2,3"
            )


@dataclass(frozen=True, kw_only=True)
class AnyResInput:
    """The whole picture and the tiles of a larger one, each through the tower: more visual tokens (LLaVA-NeXT).

    Args:
        tiles: Layouts among which the one that fits a picture best is chosen, as `ROWSxCOLUMNS` of the tower's squares.
    """

    tiles: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuses what is no layout."""
        pinpoints(self.tiles, side=1)


VisualInput = ContinuousInput | DiscreteInput | MultiScaleInput | AnyResInput
