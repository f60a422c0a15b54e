"""docs/benchmarks.md says of each benchmark what the package does."""

from pathlib import Path

import pytest

from asvr.evaluation.benchmarks import BENCHMARKS

PAGE = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text("utf-8")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_table_has_its_row(name: str) -> None:
    benchmark = BENCHMARKS[name]
    table, paper = benchmark.table, benchmark.protocols["paper"]
    config = f" ({table.config})" if table.config else ""
    cells = (
        f"`{name}`",
        benchmark.column,
        f"`{table.hub}`{config}",
        f"{table.split}, {table.num_rows:,}",
        table.size,
        paper.headline,
        str(paper.max_new_tokens),
    )
    assert f"| {' | '.join(cells)} |\n" in PAGE


def test_the_table_has_the_paper_s_order() -> None:
    places = [PAGE.index(f"| `{name}` |") for name in BENCHMARKS]
    assert places == sorted(places)


def test_every_sentence_of_a_prompt_is_quoted() -> None:
    item = {"question": "Q", "choice_a": "1", "choice_b": "2", "choice_c": "3", "choice_d": "4"}
    for name in ("pope", "ocrbench", "chartqa", "seed_image"):
        prompt = BENCHMARKS[name].protocols["paper"].prompt(item)
        assert f"{prompt.splitlines()[-1]} |\n" in PAGE
