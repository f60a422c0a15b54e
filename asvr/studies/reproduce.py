"""Trains the rows of the paper's tables at laptop scale, compares them, and writes our table beside the paper's.

Runs are shared between tables: `OUT/arms/RECIPE/seed-K`, with the stand-ins in `OUT/parts`. Rows of one seed share data
order and initial weights.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from asvr.evaluation.arms import SINGLE, load_arms
from asvr.evaluation.arms import Arm as Answers
from asvr.evaluation.compare import compare
from asvr.evaluation.comparison import Comparison, put_in_words
from asvr.evaluation.statistics import holm
from asvr.recipes import RECIPES
from asvr.recipes.shrink import shrink
from asvr.recipes.spec import Recipe
from asvr.recipes.tables import TABLES, Table
from asvr.reports.tables import markdown, terminal_table
from asvr.studies.job import is_done
from asvr.studies.plan import Arm, Job, Study
from asvr.studies.run import QUIET, run_jobs
from asvr.studies.stand_in_data import stand_in_data, stand_in_questions
from asvr.studies.stand_ins import SCALE, Scale, make_stand_ins
from asvr.studies.table_rows import table_content

LEVEL = 0.05
Pair = tuple[str, str]


def reproduce(
    numbers: Sequence[int],
    out: Path,
    *,
    seeds: int,
    jobs: int,
    arms: Collection[str],
    scale: Scale = SCALE,
) -> list[Path]:
    """Trains what is missing of some tables, and writes `table-N.md` and `table-N.json` of each.

    Args:
        numbers: Of the tables.
        out: Folder of the runs, the stand-ins and the tables; the same call continues it.
        seeds: Runs per arm.
        jobs: Runs at a time.
        arms: Recipes to train, as `arms_of` lists them; a table is written of those of its rows that are among them.
        scale: How much data there is.

    Returns:
        The tables written; one without any of the arms is left out.
    """
    out = out.resolve()
    parts, console = out / "parts", Console()
    tiny = {name: shrink(RECIPES[name], parts) for name in arms}
    console.print(f"[bold]1/3  stand-ins for {len(tiny)} recipe(s)[/]")
    make_stand_ins(tiny.values(), parts, scale=scale)
    planned = plan_jobs(tiny, out, seeds=seeds)
    done = sum(is_done(job) for job in planned)
    console.print(f"[bold]2/3  {len(planned)} runs, {done} of them done, {jobs} at a time[/]")
    run_jobs(planned, jobs=jobs)
    console.print("[bold]3/3  tables[/]")
    written = []
    for table in (TABLES[number] for number in numbers):
        if any(row.recipe in tiny for row in table.rows):
            written.append(write_table(table, tiny, out, seeds=seeds))
            console.print(terminal_table(json.loads(written[-1].with_suffix(".json").read_text())))
    return written


def arms_of(numbers: Sequence[int], *, only: Collection[str] = (), without: Collection[str] = ()) -> list[str]:
    """Lists the recipes of some tables, each once, in the tables' order.

    Args:
        numbers: Of the tables.
        only: Recipes to take, with the text-only ones they are compared with; none takes all.
        without: Recipes to leave out, with the rows that are compared with them.

    Raises:
        ValueError: If a name is in none of the tables, or nothing is left.
    """
    rows = {row.recipe: row for number in numbers for row in TABLES[number].rows}
    unknown = [name for name in (*only, *without) if name not in rows]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such row; the rows are {', '.join(rows)}")
    wanted = {*only, *(rows[name].baseline for name in only)} if only else set(rows)
    kept = [
        name
        for name, row in rows.items()
        if name in wanted and name not in without and row.baseline not in set(without)
    ]
    if not kept:
        raise ValueError("every row is left out: leave out fewer")
    return kept


def plan_jobs(tiny: dict[str, Recipe], out: Path, *, seeds: int) -> list[Job]:
    """Plans the runs, seed by seed, so that an interrupted call leaves whole seeds behind."""
    return [_job(name, recipe, out, seed) for seed in range(seeds) for name, recipe in tiny.items()]


def _job(name: str, recipe: Recipe, out: Path, seed: int) -> Job:
    arm = Arm(name=name, recipe=recipe, note=recipe.source)
    study = Study(
        title=name,
        arms=(arm,),
        seeds=(seed,),
        data=stand_in_data(recipe, out / "parts"),
        evaluation=stand_in_questions(recipe, out / "parts"),
    )
    return Job(arm=arm, seed=seed, folder=out / "arms" / name / f"seed-{seed}", study=study, machine=QUIET)


def write_table(table: Table, tiny: dict[str, Recipe], out: Path, *, seeds: int) -> Path:
    """Writes a table of finished runs.

    Args:
        table: The table.
        tiny: Shrunk recipes by the real one's name; rows of other recipes are left out.
        out: Folder of the runs.
        seeds: Runs per arm.

    Returns:
        `table-N.md`; `table-N.json` beside it holds the same as data.
    """
    rows = tuple(row for row in table.rows if row.recipe in tiny)
    labels = {row.label: row.recipe for row in rows}
    claims = tuple(claim for claim in table.claims if {claim.arm, claim.baseline} <= labels.keys())
    table = replace(table, rows=rows, claims=claims)
    pairs = [(row.baseline, row.recipe) for row in rows if row.baseline is not None]
    pairs += [(labels[claim.baseline], labels[claim.arm]) for claim in claims]
    comparisons = compare_pairs(list(dict.fromkeys(pairs)), tiny, out, seeds=seeds)
    content = table_content(table, tiny, out, comparisons=comparisons, seeds=seeds)
    path = out / f"table-{table.number}.md"
    path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    path.write_text(markdown(content))
    return path


def compare_pairs(pairs: Sequence[Pair], tiny: dict[str, Recipe], out: Path, *, seeds: int) -> dict[Pair, Comparison]:
    """Compares pairs of arms; p-values of the averages are corrected for the number of pairs, after Holm.

    Args:
        pairs: Baseline and arm, each pair once.
        tiny: Shrunk recipes by name.
        out: Folder of the runs.
        seeds: Runs per arm that are compared; there may be more.
    """

    def answers(name: str) -> Answers:
        on = stand_in_questions(tiny[name], out / "parts").data.stem
        runs = [load_arms([out / "arms" / name / f"seed-{seed}"], on=on)[0] for seed in range(seeds)]
        return Answers(name, runs[0].prompt_hash, {f"seed-{seed}": run.runs[SINGLE] for seed, run in enumerate(runs)})

    found = {(baseline, arm): compare(answers(baseline), answers(arm)) for baseline, arm in pairs}
    adjusted = holm([each.average.p for each in found.values()])
    return {
        pair: put_in_words(replace(each, average=replace(each.average, adjusted_p=p)), level=LEVEL)
        for (pair, each), p in zip(found.items(), adjusted, strict=True)
    }
