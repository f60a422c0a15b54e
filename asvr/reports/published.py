"""What the paper reports: the 14 benchmarks and their average in Tables 1, 2, 3, 4, 8, 9 and 10 (arXiv 2506.09040v2).

The numbers are the paper's own, in the order of its columns. The average is the printed one.
"""

from dataclasses import dataclass

VERSION = "arXiv 2506.09040v2"

BENCHMARKS = (
    "TVQA",
    "DVQA",
    "OCRB",
    "CQA",
    "MMB",
    "MME",
    "SEED",
    "GQA",
    "MMMU",
    "AI2D",
    "RQA",
    "MMVP",
    "HBench",
    "POPE",
)


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table of the paper.

    Args:
        label: What distinguishes it, in the paper's words.
        scores: Of `BENCHMARKS`, in percent.
        average: As printed.
    """

    label: str
    scores: tuple[float, ...]
    average: float


def _row(label: str, numbers: str) -> PublishedRow:
    *scores, average = map(float, numbers.split())
    return PublishedRow(label, tuple(scores), average)


_NEXT_ASVR = "58.6 40.6 39.7 43.4 67.9 73.0 67.5 62.9 34.2 65.8 55.4 36.8 39.2 85.9 55.1"
_HIGH = "58.1 44.1 39.5 47.5 66.6 74.1 66.8 62.0 35.8 62.8 57.8 30.0 40.6 84.5 55.0"
_HIGH_ASVR = "58.9 48.9 45.6 49.3 68.0 76.7 67.2 62.4 36.9 65.4 57.6 31.9 43.7 86.5 57.1"
_ASVR = "59.5 24.3 35.4 16.4 66.1 72.8 66.4 61.5 33.9 57.0 54.1 30.0 33.7 86.3 49.8"

PUBLISHED: dict[int, tuple[PublishedRow, ...]] = {
    1: (
        _row("discrete, LLaVA", "49.3 20.0 29.5 12.4 60.4 56.9 63.1 56.2 31.2 50.4 50.2 24.7 21.8 80.7 43.3"),
        _row("discrete, ASVR", "55.5 21.4 32.4 14.7 62.3 57.7 65.4 57.1 32.0 53.5 52.3 26.0 27.7 76.8 45.3"),
        _row("LLaVA", "56.0 21.1 31.3 14.6 64.0 67.2 63.8 60.5 32.7 53.5 52.0 28.7 23.9 85.9 46.8"),
        _row("appearance", "53.7 17.8 30.2 14.4 61.6 68.7 59.5 57.8 33.1 53.7 49.3 22.0 24.0 84.1 45.0"),
        _row("dual", "59.4 23.7 33.5 16.1 65.6 70.2 66.1 61.5 34.0 56.3 53.5 22.0 30.7 86.3 48.5"),
        _row("ASVR", _ASVR),
    ),
    2: (
        _row("2M/2M, LLaVA", "61.6 43.8 35.4 38.7 68.4 74.9 67.9 61.7 40.6 64.6 56.1 34.8 36.9 85.6 55.1"),
        _row("2M/2M, ASVR", "60.6 43.1 36.2 38.9 68.6 76.2 68.7 62.0 41.4 64.8 55.9 35.9 42.2 85.7 55.7"),
        _row("558K/4M/4M, LLaVA", "57.2 44.1 49.6 39.2 71.7 71.7 68.7 58.2 37.9 70.7 56.7 40.0 36.1 85.5 56.2"),
        _row("558K/4M/4M, ASVR", "60.0 46.5 51.3 41.7 72.2 73.2 69.9 59.8 39.7 71.8 57.5 42.0 37.9 86.9 57.9"),
        _row("Mistral-7B, LLaVA", "50.8 15.7 34.6 15.2 65.9 66.9 67.9 62.4 32.0 53.0 55.0 35.3 32.7 86.6 48.1"),
        _row("Mistral-7B, ASVR", "54.9 17.9 34.1 15.6 67.1 71.5 68.3 62.5 32.6 54.5 55.4 35.7 35.0 86.8 49.4"),
        _row("Vicuna-13B, LLaVA", "57.2 22.1 32.4 15.1 67.1 68.9 65.6 60.4 35.6 54.9 54.8 34.0 32.9 86.8 49.1"),
        _row("Vicuna-13B, ASVR", "61.6 27.3 37.1 18.4 70.8 74.9 68.7 62.8 36.4 60.0 56.0 35.3 36.8 87.5 52.4"),
    ),
    3: (_row("LLaVA", _HIGH), _row("ASVR", _HIGH_ASVR)),
    4: (
        _row("ROSS, VAE", "56.3 39.6 35.9 41.0 65.6 71.7 65.9 61.6 34.4 65.5 55.0 33.3 28.9 85.9 52.9"),
        _row("ROSS, SigLIP", "57.5 40.2 37.4 42.5 67.0 70.5 66.2 62.1 34.9 64.6 55.7 30.1 31.2 85.8 53.3"),
        _row("ASVR", _NEXT_ASVR),
    ),
    8: (
        _row("tokenizer of 3M", "57.8 25.4 33.1 16.2 67.2 70.3 64.8 60.0 31.8 55.9 54.3 24.7 33.0 86.1 48.6"),
        _row("tuning only", "55.3 18.9 29.5 14.0 61.2 67.8 60.5 58.3 33.4 52.6 52.3 20.8 30.0 84.9 45.7"),
        _row("ASVR", _ASVR),
    ),
    9: (
        _row("SigLIP, LLaVA", "57.7 40.7 37.9 42.6 67.4 71.5 67.2 61.8 34.3 65.3 54.6 32.8 33.1 86.4 53.8"),
        _row("SigLIP, ASVR", _NEXT_ASVR),
        _row("SigLIP2, LLaVA", "59.2 41.8 40.5 46.3 66.9 74.0 68.3 62.7 34.7 66.4 56.9 33.3 35.1 86.1 55.2"),
        _row("SigLIP2, ASVR", "61.0 43.7 44.8 49.9 70.2 76.8 69.5 63.4 36.3 67.3 56.7 42.0 35.8 86.8 57.4"),
    ),
    10: (
        _row("none", _HIGH),
        _row("DINOv3", "58.0 46.2 45.0 43.0 66.2 75.2 68.0 61.8 36.0 65.2 57.5 31.8 37.9 87.4 55.6"),
        _row("Depth Anything", "52.8 40.7 38.6 42.2 67.2 75.9 67.2 62.2 32.0 59.8 58.0 30.3 40.7 84.6 53.7"),
        _row("SigLIP", _HIGH_ASVR),
    ),
}
"""Rows by the table's number."""


def published_average(table: int, label: str) -> float:
    """Gives the printed average of a row.

    Raises:
        KeyError: If the table has no such row.
    """
    return {row.label: row.average for row in PUBLISHED[table]}[label]
