from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import QUIET, metrics, train


def test_a_packed_run_is_the_unpacked_one_with_less_padding(parts: Path, tmp_path: Path) -> None:
    machine = replace(QUIET, save_every=100)
    runs = [
        train("tiny-asvr", parts, tmp_path / str(pack), machine=replace(machine, pack=pack), also=("unlabelled",))
        for pack in (False, True)
    ]
    plain, packed = (metrics(run)[:-1] for run in runs)
    for line, expected in zip(packed, plain, strict=True):
        assert line.keys() == expected.keys()
        for name in line.keys() - {"padding"}:
            assert line[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-5), name
    assert {"loss_semantic[unlabelled]", "loss_text[instruct]"} <= set().union(*packed)
    assert sum(line["padding"] for line in packed) < sum(line["padding"] for line in plain)


def test_attention_that_would_mix_packed_conversations_is_refused(parts: Path, tmp_path: Path) -> None:
    machine = replace(QUIET, pack=True, attention="flex_attention")
    with pytest.raises(ValueError, match=r"'flex_attention' is not known to keep.*do not pack, or choose one of eager"):
        train("tiny-asvr", parts, tmp_path / "run", machine=machine)
    assert not (tmp_path / "run").exists()
