"""Fits a tokenizer as one of several processes."""

import sys
from pathlib import Path

from accelerate import PartialState

from asvr.data.pictures import find_pictures
from asvr.targets.sources import TowerSpec
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings

SETTINGS = FitSettings(depth=2, num_codes=16, width=12, passes=2, iterations=5, grid=(3, 3))


def fit_folder(parts: Path, pictures: Path, out: Path, left_out: list[str]) -> None:
    source = TowerSpec(str(parts / "tower")).build()
    fit_tokenizer(source, find_pictures(str(pictures)), settings=SETTINGS, out=out, left_out=left_out)


if __name__ == "__main__":
    left_out: list[str] = []
    fit_folder(*map(Path, sys.argv[1:]), left_out)
    PartialState().destroy_process_group()
