import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import asvr

PACKAGE = Path(asvr.__file__).parent
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "interfaces": set(),
    "disk": set(),
    "environment": set(),
    "derive": set(),
    "losses": set(),
    "subset": {"interfaces"},
    "heads": {"losses", "interfaces"},
    "reports": set(),
    "targets": {"interfaces", "disk"},
    "data": {"interfaces", "disk"},
    "objective": {"interfaces", "losses", "subset"},
    "models": {"targets", "data"},
    "evaluation": {"models", "data"},
    "world": {"data", "targets"},
    "tokenizers": {"targets", "data", "interfaces", "disk", "environment"},
    "tokenizer_training": {"tokenizers", "targets", "data", "disk", "environment", "derive"},
    "recipes": {"targets", "heads", "models", "data", "objective", "subset", "interfaces"},
    "training": {"disk", "environment", "derive", "recipes", "objective", "models", "data", "targets", "interfaces"},
    "planning": {
        "training",
        "recipes",
        "objective",
        "models",
        "data",
        "targets",
        "heads",
        "losses",
        "subset",
        "interfaces",
    },
    "studies": {
        "derive",
        "training",
        "evaluation",
        "reports",
        "recipes",
        "objective",
        "models",
        "data",
        "targets",
        "world",
        "tokenizers",
    },
}
"""Layers that a layer may import beside itself; `cli` and the package itself may import any."""


def layers_imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively: write the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("asvr."))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_imports_only_from_its_layer_s_neighbours(file: Path) -> None:
    layer = file.parts[0].removesuffix(".py")
    if layer in ("cli", "__init__", "__main__"):
        return
    # The package itself, for its version, is below every layer.
    imported = set(layers_imported(file)) - {layer, "__version__"}
    assert imported <= MAY_IMPORT[layer], f"asvr/{file} imports {imported - MAY_IMPORT[layer]}"


def test_the_table_has_no_circle() -> None:
    below: dict[str, set[str]] = {}
    while len(below) < len(MAY_IMPORT):
        ready = [layer for layer in MAY_IMPORT if layer not in below and MAY_IMPORT[layer] <= below.keys()]
        assert ready, "the layers left over import each other"
        below |= {layer: MAY_IMPORT[layer] for layer in ready}
