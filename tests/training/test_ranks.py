import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.parts import talk
from tests.training.ranks import BLOCKS, MACHINE
from tests.training.runs import FILES, metrics, train
from tests.two_processes import run_on_two

ROOT = Path(__file__).parents[2]


@pytest.fixture
def records(parts: Path, tmp_path: Path) -> Path:
    """As many conversations without an image as with one, in a file of their own."""
    shutil.copytree(parts / "records", tmp_path / "records")
    colours = ["red", "green", "blue", "white"]
    shown = [talk(f"i{i}", "<image>\nWhich colour?", colours[i], image=f"{i}.png") for i in range(4)]
    told = [talk(f"t{i}", "Is there a blue triangle?", answer) for i, answer in enumerate(["yes", "no", "3", "white"])]
    for name, each in (*((name, shown) for name in FILES.values()), ("told", told)):
        (tmp_path / "records" / f"{name}.json").write_text(json.dumps(each))
    return tmp_path / "records"


def weights(stage: Path) -> dict[str, Tensor]:
    """Without the biases of keys, whose gradients are zero but for rounding (tests/invariants/test_batching.py)."""
    head = load_file(stage / "heads" / "semantic.safetensors")
    head = {name: value for name, value in head.items() if not name.endswith("qkv.bias")}
    return {**load_file(stage / "model" / "model.safetensors"), **head}


def test_two_processes_are_one_even_if_one_of_them_sees_no_image(parts: Path, records: Path, tmp_path: Path) -> None:
    run_on_two("tests.training.ranks", parts, records, tmp_path / "two")
    notes = [json.loads((tmp_path / "two" / f"images-{rank}.json").read_text()) for rank in range(2)]
    # Eight conversations, two a micro-batch, four a step: two steps a stage, one micro-batch a step and process.
    assert [len(each) for each in notes] == [4, 4]
    assert any(first != second for first, second in zip(*notes, strict=True)), "no step had an image on one rank alone"
    train("tiny-asvr", parts, tmp_path / "one", machine=MACHINE, records=records, also=("told",), seed=3, **BLOCKS)
    for stage in FILES:
        ours, theirs = weights(tmp_path / "two" / stage), weights(tmp_path / "one" / stage)
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
        # Of each file, the tokens that it has.
        by_source = {name for line in metrics(tmp_path / "two" / stage) for name in line if "[" in name}
        assert by_source == {f"loss_text[{FILES[stage]}]", f"loss_semantic[{FILES[stage]}]", "loss_text[told]"}
        lines = zip(metrics(tmp_path / "two" / stage), metrics(tmp_path / "one" / stage), strict=True)
        for line, expected in lines:
            for key in expected:
                assert line[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-6), (stage, key)
