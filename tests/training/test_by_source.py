"""Each loss by source; that two processes log what one logs is in test_ranks."""

import math
from pathlib import Path

import pytest
import torch

from asvr.data.dataset import Source
from asvr.training.by_source import SourceLosses, source_names
from asvr.training.log import in_lines
from asvr.training.run import run_recipe
from asvr.training.stage import Machine
from tests.parts import shrink
from tests.training.runs import metrics

MACHINE = Machine(micro_batch=2, log_every=1, progress=False)
EPOCHS = {f"stages.{stage}.optimisation.epochs": "1" for stage in ("pretrain", "instruct")}


def train_on_two_sources(parts: Path, out: Path, name: str = "tiny-asvr", machine: Machine = MACHINE) -> Path:
    """Captions first; then captions and questions, of which two have no picture of their own or two."""
    records, images = parts / "records", parts / "records" / "images"
    captions, questions = Source(records / "captions.json", images), Source(records / "instruct.json", images)
    riding = [Source(records / "unlabelled.json", images, "unlabelled")]
    recipe = shrink(name, parts, **EPOCHS)
    companions = riding if recipe.stages[0].companions else []
    data = {"pretrain": [captions], "instruct": [captions, questions]}
    return run_recipe(recipe, out, data=data, companions=companions, seed=1, machine=machine)


def test_means_are_of_the_tokens_of_each_source() -> None:
    losses = SourceLosses(("a", "b", "c"), torch.device("cpu"))
    labels = torch.tensor([[-100, 5, 6], [-100, -100, 7], [-100, -100, -100]])
    visual = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
    rows = {"loss_text": torch.tensor([3.0, 4.0, 0.0]), "loss_semantic": torch.tensor([1.0, 6.0, 9.0])}
    losses.add(torch.tensor([0, 0, 1]), rows, labels=labels, visual_mask=visual)
    # Three supervised tokens of a, none of b; three visual tokens of each; nothing of c.
    expected = {"loss_text[a]": 7 / 3, "loss_semantic[a]": 7 / 3, "loss_semantic[b]": 3.0}
    assert losses.take(lambda value: value) == pytest.approx(expected)
    assert losses.take(lambda value: value) == {}


def test_ranks_may_have_seen_different_sources() -> None:
    labels, visual = torch.tensor([[-100, 5], [-100, 6]]), torch.tensor([[True, False], [False, False]])
    rows = {"loss_text": torch.tensor([2.0, 4.0]), "loss_semantic": torch.tensor([8.0, 0.0])}
    ranks = [SourceLosses(("a", "b"), torch.device("cpu")) for _ in range(2)]
    for rank, losses in enumerate(ranks):
        part = {name: values[rank : rank + 1] for name, values in rows.items()}
        losses.add(torch.tensor([rank]), part, labels=labels[rank : rank + 1], visual_mask=visual[rank : rank + 1])
    # Every rank sums in the same order: the counts of a loss, then the loss.
    others = iter([kept[name] for name in rows for kept in (ranks[1].counts, ranks[1].sums)])
    means = ranks[0].take(lambda value: value + next(others))
    assert means == {"loss_text[a]": 2.0, "loss_text[b]": 4.0, "loss_semantic[a]": 8.0}


def test_sources_are_told_apart_only_where_there_are_several(parts: Path, tmp_path: Path) -> None:
    folder = train_on_two_sources(parts, tmp_path / "run")
    names = [name for line in metrics(folder.parent / "pretrain") for name in line]
    assert not any("[" in name for name in names)
    lines = [line for line in metrics(folder) if "loss_text" in line]
    assert len(lines) == 5
    seen = {name for line in lines for name in line if "[" in name}
    assert seen == {f"loss_{term}[{source}]" for term in ("text", "semantic") for source in ("captions", "instruct")}
    assert all(math.isfinite(line[name]) for line in lines for name in line if "[" in name)


def test_the_mean_over_sources_weighted_by_tokens_is_the_loss(parts: Path, tmp_path: Path) -> None:
    # A step of every conversation: eight captions and ten others, 32 and 36 visual tokens of 2 x 2 pictures.
    recipe = shrink(
        "tiny-asvr", parts, **{f"stages.{s}.optimisation.batch_size": "18" for s in ("pretrain", "instruct")}
    )
    images = parts / "records" / "images"
    data = [Source(parts / "records" / f"{name}.json", images) for name in ("captions", "instruct")]
    folder = run_recipe(recipe, tmp_path / "run", data={"pretrain": data, "instruct": data}, machine=MACHINE)
    for stage in ("pretrain", "instruct"):
        line = metrics(folder.parent / stage)[0]
        visual = 8 * 4 * line["loss_semantic[captions]"] + 10 * 4 * line["loss_semantic[instruct]"]
        assert visual / 72 == pytest.approx(line["loss_semantic"], rel=1e-5), stage


def test_companions_count_under_their_own_name(parts: Path, tmp_path: Path) -> None:
    folder = train_on_two_sources(parts, tmp_path / "run", "tiny-asvr-unlabelled")
    line = metrics(folder.parent / "pretrain")[0]
    assert {name for name in line if "[" in name} == {
        "loss_text[captions]",
        "loss_semantic[captions]",
        "loss_semantic[unlabelled]",
    }
    # As many companions as conversations, each with one picture.
    mean = (line["loss_semantic[captions]"] + line["loss_semantic[unlabelled]"]) / 2
    assert mean == pytest.approx(line["loss_semantic"], rel=1e-5)
    assert line["loss_text[captions]"] == pytest.approx(line["loss_text"], rel=1e-5)


def test_the_bar_has_a_line_for_each_source() -> None:
    logs = {"loss": 3.0, "loss_text": 1.0, "loss_semantic": 2.0, "grad_norm": 9.0}
    logs |= {"loss_text[a]": 0.5, "loss_semantic[a]": 2.5, "loss_text[b]": 1.5}
    assert in_lines(logs) == [
        "loss 3.000  text 1.000  semantic 2.000",
        "a:  text 0.500  semantic 2.500",
        "b:  text 1.500",
    ]


def test_a_single_source_has_no_names() -> None:
    assert source_names([]) == ()
