import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asvr.data.conversation import Conversation
from asvr.data.dataset import Source
from asvr.recipes import RECIPES
from asvr.recipes.spec import Share
from asvr.training.mixture import take, weights
from tests.cli.command import Command

TEN = [Conversation(str(index), (), ()) for index in range(10)]
STAGE = replace(
    RECIPES["tiny-llava"].stages[1],
    mixture=(Share(name="world-questions", weight=0.5), Share(name="world-captions", weight=3.0)),
)
QUESTIONS, CAPTIONS = (Source(Path(f"{name}.json"), None, f"world-{name}") for name in ("questions", "captions"))


@given(weight=st.floats(0.05, 4.0), seed=st.integers(0, 99))
def test_a_weight_takes_whole_passes_and_a_part_drawn_without_repeats(weight: float, seed: int) -> None:
    taken = take(TEN, weight, seed=seed)
    assert len(taken) == round(weight * 10)
    times = Counter(taken)
    passes = len(taken) // 10
    assert all(times[one] in (passes, passes + 1) for one in TEN)
    rest = taken[10 * passes :]
    assert taken[: 10 * passes] == TEN * passes and rest == sorted(rest, key=TEN.index)


def test_the_seed_draws_and_one_is_everything() -> None:
    assert take(TEN, 1.0, seed=0) == TEN and take(TEN, 2.0, seed=0) == [*TEN, *TEN]
    halves = [take(TEN, 0.5, seed=seed) for seed in (0, 0, 1, 2)]
    assert halves[0] == halves[1] and any(half != halves[0] for half in halves[2:])


def test_a_source_has_the_weight_of_its_name_in_whatever_order_it_is_given() -> None:
    assert weights(STAGE, [QUESTIONS, CAPTIONS]) == [0.5, 3.0]
    assert weights(STAGE, [CAPTIONS, QUESTIONS]) == [3.0, 0.5]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "has no data: it is meant for questions about the embedded world, captions of the embedded world"),
        ([Source(Path("mine.json"), None)], "weighs its sources .world-questions 0.5, world-captions 3.0., and mine"),
        ([QUESTIONS], "still lacks world-captions: write --data instruct/NAME=FILE"),
        ([QUESTIONS, CAPTIONS, QUESTIONS], "is given 'world-questions' 2 times"),
        ([QUESTIONS, CAPTIONS, Source(Path("mine.json"), None)], "has named sources, and mine.json is none of them"),
    ],
)
def test_which_weight_is_whose_is_never_a_guess(sources: list[Source], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        weights(STAGE, sources)


def test_a_run_takes_and_notes_what_the_recipe_weighs(parts: Path, tmp_path: Path, asvr: Callable) -> None:
    command = Command(parts, tmp_path, "tiny-llava")
    command.tokenizer = None
    command.data = [
        f"pretrain/world-captions={command.records / 'captions.json'}",
        f"instruct/world-questions={command.records / 'instruct.json'}",
    ]
    path = "stages.instruct.mixture.world-questions.weight"
    command.changes[path] = "1.5"
    assert asvr(command.argv()) == (0, "")
    first, second = json.loads((command.out / "recipe.json").read_text())["data"]
    assert (first["stage"], first["name"], first["weight"], first["records"], first["used"]) == (
        "pretrain",
        "world-captions",
        1.0,
        8,
        8,
    )
    assert (second["name"], second["weight"], second["records"], second["used"]) == ("world-questions", 1.5, 10, 15)
    assert len(second["sha256"]) == 64 and second["data"].endswith("instruct.json")
    # 15 conversations, four a step.
    stage = json.loads((command.out / "instruct" / "stage.json").read_text())
    assert (stage["tokens"]["samples"], stage["steps"]) == (15, 4)
    command.changes[path] = "0.5"
    code, said = asvr(command.argv())
    assert code == 1 and f"holds another run: its recipe differ (fields {path})" in said
    # The same files under each other's name are other data.
    command.changes[path] = "1.5"
    (command.records / "instruct.json").write_text((command.records / "captions.json").read_text())
    code, said = asvr(command.argv())
    assert code == 1 and "holds another run: its data differ" in said
