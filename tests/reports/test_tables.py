"""The paper's numbers, and what a table of ours shows beside them."""

from io import StringIO

import pytest
from rich.console import Console

from asvr.recipes import RECIPES
from asvr.recipes.tables import TABLES
from asvr.reports.published import BENCHMARKS, PUBLISHED, published_average
from asvr.reports.tables import markdown, terminal_table

SLIP = (10, "DINOv3")
"""Its 14 scores have the mean 55.657, printed as 55.6."""


@pytest.mark.parametrize("table", PUBLISHED)
def test_scores_average_to_what_is_printed(table: int) -> None:
    for row in PUBLISHED[table]:
        assert len(row.scores) == len(BENCHMARKS) == 14
        mean = sum(row.scores) / 14
        if (table, row.label) == SLIP:
            assert round(mean, 3) == 55.657 and row.average == 55.6
        else:
            assert abs(mean - row.average) <= 0.05 + 1e-9


def test_30_rows_are_there() -> None:
    assert {table: len(rows) for table, rows in PUBLISHED.items()} == {1: 6, 2: 8, 3: 2, 4: 3, 8: 3, 9: 4, 10: 4}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: f"table {table.number}")
def test_a_table_s_rows_are_recipes_and_hold_every_row_of_the_paper(table) -> None:
    labels = {row.label for row in table.rows}
    assert len(labels) == len(table.rows)
    assert {row.recipe for row in table.rows} <= RECIPES.keys()
    assert {row.label for row in PUBLISHED[table.number]} <= {table.paper_label(label) for label in labels}
    baselines = {row.recipe for row in table.rows if row.baseline is None}
    assert {row.baseline for row in table.rows if row.baseline} <= baselines
    assert all({claim.arm, claim.baseline} <= labels for claim in table.claims)
    for row in table.rows:
        stages = RECIPES[row.recipe].stages
        assert any(stage.supervision for stage in stages) == (row.baseline is not None)


def test_rows_of_several_tables_agree() -> None:
    """Tables 4 and 9, 1 and 8, 3 and 10 print the same run; Table 9's text-only row is what Table 4 leaves out."""
    assert published_average(4, "ASVR") == published_average(9, "SigLIP, ASVR") == 55.1
    assert published_average(1, "ASVR") == published_average(8, "ASVR") == 49.8
    assert published_average(3, "LLaVA") == published_average(10, "none") == 55.0
    assert published_average(9, "SigLIP, LLaVA") == 53.8


FIGURES = {"difference": -2.1, "interval": [-6.1, 2.0], "sign": 0}
COSTS = {"seconds_per_step": 0.25, "step_flops": 2.5e10}
CONTENT = {
    "table": 1,
    "title": "what is reconstructed",
    "version": "arXiv 2506.09040v2",
    "seeds": 3,
    "questions": 1996,
    "rows": [
        {
            "label": "LLaVA",
            "recipe": "llava-vicuna-7b",
            "score": 70.6,
            "interval": [66.0, 75.1],
            "comparison": None,
            "paper": 46.8,
            "paper_difference": None,
            "head_parameters": 0,
            "notes": [],
            **COSTS,
        },
        {
            "label": "ASVR",
            "recipe": "asvr-vicuna-7b",
            "score": 68.5,
            "interval": [67.0, 69.9],
            "comparison": FIGURES,
            "paper": 49.8,
            "paper_difference": 3.0,
            "head_parameters": 444_160,
            "notes": [1],
            **COSTS,
        },
    ],
    "claims": [
        {
            "text": "semantic supervision helps",
            "paper_difference": 3.0,
            "verdict": "not decided here",
            "comparison": FIGURES,
        }
    ],
    "common_notes": ["precision: fp32 for bf16"],
    "notes": ["tokenizers/siglip-so400m: 4 x 128 codes"],
    "made_by": [{"commit": "abc", "versions": {"torch": "2.13.0"}, "python": "3.11.7", "hardware": "1 CPU thread(s)"}],
}


def test_markdown_has_rows_claims_and_footnotes() -> None:
    page = markdown(CONTENT)
    assert (
        "| ASVR (`asvr-vicuna-7b`) | 68.5 [67.0, 69.9] | -2.1 [-6.1, +2.0] | 49.8 | +3.0 | 0.25 | 444,160 | 25.0 | 1 |"
        in page
    )
    assert "| LLaVA (`llava-vicuna-7b`) | 70.6 [66.0, 75.1] | — | 46.8 | — | 0.25 | — | 25.0 | — |" in page
    assert "| semantic supervision helps | +3.0 | -2.1 [-6.1, +2.0] | not decided here |" in page
    assert "* precision: fp32 for bf16" in page and "1. tokenizers/siglip-so400m: 4 x 128 codes" in page
    assert "* commit abc, Python 3.11.7, torch 2.13.0; 1 CPU thread(s)" in page
    assert "One seed each" not in page and "One seed each" in markdown({**CONTENT, "seeds": 1})


def test_the_terminal_table_fits_100_columns() -> None:
    text = StringIO()
    Console(file=text, width=100).print(terminal_table(CONTENT))
    lines = text.getvalue().splitlines()
    assert any("LLaVA" in line and "70.6" in line and "46.8" in line for line in lines)
    assert any("-2.1" in line and "[-6.1, +2.0]" in line and "+3.0" in line and "0.44 M" in line for line in lines)
    assert max(map(len, lines)) <= 100
