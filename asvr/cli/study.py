"""`asvr study`: several recipes and seeds on your data, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from asvr.cli.changes import changes_of
from asvr.cli.recipes import find_recipe
from asvr.cli.sources import stage_sources, unlabelled_sources

if TYPE_CHECKING:
    from asvr.studies.plan import Arm


def study(
    recipes: Annotated[list[str], typer.Argument(help="Names of recipes; the first is the baseline.")],
    data: Annotated[list[str], typer.Option(help="STAGE=FILE: LLaVA records of a stage; several are joined.")],
    images: Annotated[list[str], typer.Option(help=r"\[STAGE=]FOLDER: where the records' images are.")],
    on: Annotated[Path, typer.Option(help="LLaVA records whose questions every run answers.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; the same command continues it.")],
    unlabelled: Annotated[Path | None, typer.Option(help="Records without text, for recipes that take them.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Visual tokenizer of every visual loss.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Its codes of all pictures, from `asvr targets cache`.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE, in every recipe that has it.")] = None,
    equal_time: Annotated[
        str | None, typer.Option(help="Also train the baseline for as many seconds as this recipe.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per recipe.")] = 3,
    first_seed: Annotated[int, typer.Option(help="The seeds count up from here.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help=r"Runs at a time \[default: one per processor].")] = None,
) -> None:
    """Train recipes on the same data in the same order, seed by seed, evaluate and compare them."""
    from asvr.data.dataset import Source
    from asvr.reports.page import terminal_table, write_report
    from asvr.studies.plan import Study
    from asvr.studies.run import default_jobs, run_study

    arms = plan_arms(recipes, changes_of(set_ or []), tokenizer=tokenizer, cache=cache, equal_time=equal_time)
    first = arms[0].recipe
    sources, stages = stage_sources(data, images, first), [stage.name for stage in first.stages]
    folder = sources[stages[-1]][0].images if stages[-1] in sources else None
    plan = Study(
        title=f"{', '.join(recipes)} on {on.stem}",
        arms=arms,
        seeds=tuple(range(first_seed, first_seed + seeds)),
        data={stage: tuple(group) for stage, group in sources.items()},
        companions=tuple(unlabelled_sources(unlabelled, images, first)),
        evaluation=Source(on, folder),
    )
    run_study(plan, out, jobs=jobs or default_jobs())
    Console().print(terminal_table(out))
    Console().print(f"report: {write_report(out)}", soft_wrap=True)


def plan_arms(
    recipes: list[str],
    changes: dict[str, str],
    *,
    tokenizer: Path | None,
    cache: Path | None,
    equal_time: str | None,
) -> "tuple[Arm, ...]":
    """Turns recipes into arms of a study.

    Raises:
        ValueError: If a change fits none of the recipes, or a name is unknown.
    """
    from asvr.recipes.derive import cache_changes, tokenizer_changes
    from asvr.studies.plan import Arm, change

    found = [find_recipe(name) for name in recipes]
    arms = []
    for recipe in found:
        targets = tokenizer_changes(recipe, tokenizer) if tokenizer else {}
        targets |= cache_changes(recipe, cache) if cache else {}
        changed = change(recipe, {**changes, **targets})
        arms.append(Arm(name=recipe.name, recipe=changed, note=recipe.source))
    for path in changes:
        if all(change(recipe, {path: changes[path]}) == recipe for recipe in found):
            raise ValueError(f"--set {path}={changes[path]} changes none of the recipes {', '.join(recipes)}")
    if equal_time is not None:
        first = arms[0]
        name, note = f"{first.name}-longer", f"{first.name} for as many seconds as {equal_time}"
        arms.append(Arm(name=name, recipe=first.recipe, note=note, equal_time_with=equal_time))
    return tuple(arms)
