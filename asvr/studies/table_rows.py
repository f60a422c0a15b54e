"""The content of a table as plain data: our figures, the paper's beside them, costs, verdicts and footnotes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

from asvr.derive import recipe_hash
from asvr.evaluation.comparison import Comparison
from asvr.evaluation.statistics import t_interval
from asvr.recipes import RECIPES
from asvr.recipes.spec import Recipe
from asvr.recipes.tables import Claim, Row, Table
from asvr.reports.published import PUBLISHED, VERSION, published_average
from asvr.studies.costs import costs_of
from asvr.studies.footnotes import deviations, split_common
from asvr.training.run import PROVENANCE

CONFIDENCE = 0.95
Pair = tuple[str, str]


def table_content(
    table: Table, tiny: Mapping[str, Recipe], out: Path, *, comparisons: Mapping[Pair, Comparison], seeds: int
) -> dict[str, Any]:
    """Puts together everything that a table shows.

    Args:
        table: With the rows and claims that there are.
        tiny: Shrunk recipes by the real one's name.
        out: Folder of the runs and the stand-ins.
        comparisons: By baseline and arm.
        seeds: Runs per arm.
    """
    notes = {row.label: deviations(RECIPES[row.recipe], tiny[row.recipe], out / "parts") for row in table.rows}
    common, own = split_common(notes)
    listed = list(dict.fromkeys(note for each in own.values() for note in each))
    rows = []
    for row in table.rows:
        numbers = [listed.index(note) + 1 for note in own[row.label]]
        rows.append({**_row(table, row, tiny[row.recipe], out, comparisons, seeds), "notes": numbers})
    return {
        "table": table.number,
        "title": table.title,
        "version": VERSION,
        "seeds": seeds,
        "questions": next((each.average.num_questions for each in comparisons.values()), None),
        "rows": rows,
        "claims": [_claim(table, claim, comparisons) for claim in table.claims],
        "common_notes": common,
        "notes": listed,
        "made_by": _made_by(
            [out / "arms" / row.recipe / f"seed-{seed}" for row in table.rows for seed in range(seeds)]
        ),
    }


def _made_by(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Lists what made the runs: commit, versions and hardware; more than one where they were made apart."""
    found = [json.loads((run / PROVENANCE).read_text()) for run in runs]
    kept = [{key: each[key] for key in ("commit", "versions", "python", "hardware")} for each in found]
    return [each for place, each in enumerate(kept) if each not in kept[:place]]


def _row(
    table: Table, row: Row, recipe: Recipe, out: Path, comparisons: Mapping[Pair, Comparison], seeds: int
) -> dict[str, Any]:
    arm = out / "arms" / row.recipe
    scores = [_score(arm / f"seed-{seed}") for seed in range(seeds)]
    comparison = comparisons.get((row.baseline, row.recipe)) if row.baseline else None
    paper = _paper(table, row.label)
    baseline = _paper_baseline(table, row)
    return {
        "label": row.label,
        "recipe": row.recipe,
        "hash": recipe_hash(recipe),
        "baseline": row.baseline,
        "scores": scores,
        "score": mean(scores),
        "interval": t_interval(scores, confidence=CONFIDENCE) if seeds > 1 else None,
        "comparison": comparison and _figures(comparison),
        "paper": paper,
        "paper_difference": None if None in (paper, baseline) else round(paper - baseline, 1),  # type: ignore[operator]
        "seconds_per_step": median(_seconds_per_step(arm / f"seed-{seed}", recipe) for seed in range(seeds)),
        **asdict(costs_of(recipe, out / "parts", arm)),
    }


def _claim(table: Table, claim: Claim, comparisons: Mapping[Pair, Comparison]) -> dict[str, Any]:
    arm, baseline = table.row(claim.arm), table.row(claim.baseline)
    figures = _figures(comparisons[baseline.recipe, arm.recipe])
    papers = [_paper_or_baseline(table, label) for label in (claim.arm, claim.baseline)]
    difference = None if None in papers else round(papers[0] - papers[1], 1)  # type: ignore[operator]
    verdict = {1: "found here too", 0: "not decided here", -1: "the reverse was found here"}[figures["sign"]]
    return {**asdict(claim), "paper_difference": difference, "verdict": verdict, "comparison": figures}


def _figures(comparison: Comparison) -> dict[str, Any]:
    """Keeps of a comparison what a table shows."""
    average = comparison.average
    certain = average.adjusted_p < 1 - CONFIDENCE and all(low > 0 or high < 0 for low, high in average.intervals)
    return {
        "difference": average.difference,
        "interval": average.wider_interval,
        "question_interval": average.question_interval,
        "seed_interval": average.seed_interval,
        "by_seed": average.seed_differences,
        "adjusted_p": average.adjusted_p,
        "sign": (1 if average.difference > 0 else -1) if certain else 0,
        "verdict": average.verdict,
    }


def _paper(table: Table, label: str) -> float | None:
    """Gives the paper's average of a row; None for one beyond the paper."""
    name = table.paper_label(label)
    known = [row.label for row in PUBLISHED[table.number]]
    return published_average(table.number, name) if name in known else None


def _paper_or_baseline(table: Table, label: str) -> float | None:
    paper = _paper(table, label)
    if paper is None and table.paper_baseline is not None and table.row(label).baseline is None:
        return published_average(*table.paper_baseline)
    return paper


def _paper_baseline(table: Table, row: Row) -> float | None:
    baseline = next((each for each in table.rows if each.recipe == row.baseline), None)
    return _paper_or_baseline(table, baseline.label) if baseline is not None else None


def _score(run: Path) -> float:
    return json.loads((run / "evaluation" / "test_instruct" / "scores.json").read_text())["scores"]["average"]


def _seconds_per_step(run: Path, recipe: Recipe) -> float:
    facts = json.loads((run / recipe.stages[-1].name / "stage.json").read_text())
    return facts["seconds"] / facts["steps"]
