"""What semantic codes hold that appearance codes do not: linear probes on the embedded world."""

import json
from pathlib import Path

from asvr.targets.extract import extract
from asvr.targets.tokenizer import VisualTokenizer
from asvr.targets.towers import TowerFeatures
from asvr.world.probe import make_probe_set, probe_attributes

NUM_PICTURES = 1500
PROBE_SEED = 1
"""Of the probed pictures; the tokenizers are fitted on others."""


def write_probes(semantic: Path, appearance: Path, out: Path) -> None:
    """Writes `probes.json` (held-out accuracies) and `tokenizer.json` (how well the codebooks serve held-out images).

    Args:
        semantic: Folder of a visual tokenizer over a tower's features.
        appearance: Folder of one over pixel patches.
        out: Folder to write to.
    """
    tokenizers = {
        "semantic": VisualTokenizer.from_pretrained(semantic),
        "appearance": VisualTokenizer.from_pretrained(appearance),
    }
    probe_set = make_probe_set(NUM_PICTURES, seed=PROBE_SEED)
    accuracy = {}
    for name, tokenizer in tokenizers.items():
        features = extract(tokenizer.features, probe_set.pictures)
        if isinstance(tokenizer.features, TowerFeatures):
            accuracy["continuous features"] = probe_attributes(features, probe_set)
        quantised = tokenizer.quantizer.quantised(tokenizer.quantizer.encode(features))
        accuracy[f"{name} codes"] = probe_attributes(quantised, probe_set)
    chance = {name: float(labels.bincount().max() / len(labels)) for name, labels in probe_set.labels.items()}
    probes = {"kinds": list(chance), "chance": chance, "accuracy": accuracy, "objects": len(probe_set.cell)}
    (out / "probes.json").write_text(json.dumps(probes, indent=2) + "\n")
    about = {name: _describe(tokenizer) for name, tokenizer in tokenizers.items()}
    (out / "tokenizer.json").write_text(json.dumps(about, indent=2) + "\n")


def _describe(tokenizer: VisualTokenizer) -> dict[str, object]:
    quantizer = tokenizer.quantizer
    return {
        "depth": quantizer.depth,
        "num_codes": quantizer.num_codes,
        "grid": list(tokenizer.grid),
        "health": tokenizer.about["health"],
    }
