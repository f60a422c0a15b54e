"""`asvr explain`: what a recipe takes at its real size, before anyone has a GPU for it."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from asvr.cli.changes import changes_of
from asvr.cli.recipes import find_recipe

if TYPE_CHECKING:
    from asvr.planning.plan import Plan, StagePlan

GIB, TERA = 2**30, 1e12


class Strategy(str, Enum):
    """How several devices share the work."""

    ddp = "ddp"
    fsdp = "fsdp"
    zero2 = "zero2"
    zero3 = "zero3"


def explain(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; `asvr recipes` lists them.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE: change a field of the recipe.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Visual tokenizer of every visual loss.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="STAGE=FILE: LLaVA records to measure in place of what is assumed of their lengths."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="Devices.")] = 8,
    gpu_memory: Annotated[float, typer.Option(min=1, help="Memory of each in GiB.")] = 80,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Conversations per device and forward pass; the most that fit by default.")
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="How devices share the work: by default fsdp, with adapters ddp.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
) -> None:
    """Say what a recipe takes: parameters, batches, tokens, FLOPs, memory, and the command that starts it."""
    import json

    from asvr.derive import as_json, derive
    from asvr.disk import write_whole
    from asvr.planning.launch import cache_lines, folders, launch_line
    from asvr.planning.outline import outline_once
    from asvr.planning.plan import Devices, make_plan
    from asvr.recipes.derive import tokenizer_changes

    named = find_recipe(recipe)
    targets = tokenizer_changes(named, tokenizer) if tokenizer else {}
    if tokenizer is not None and not targets:
        raise ValueError(f"recipe {recipe!r} has no codes, so --tokenizer {tokenizer} would change nothing")
    derived = derive(named, {**changes_of(set_ or []), **targets})
    usual = Strategy.ddp if any(stage.adapter for stage in derived.stages) else Strategy.fsdp
    devices = Devices(gpus=gpus, memory=gpu_memory, strategy=(strategy or usual).value)
    plan = make_plan(derived, devices, micro_batch=micro_batch, given=_records(data or [], derived))
    layer = type(outline_once(derived.model).model.language_model.layers[0]).__name__
    line = launch_line(plan, layer=layer, changes=[*(set_ or []), *(f"{k}={v}" for k, v in targets.items())])
    console = Console(highlight=False)
    console.print(f"[bold]{plan.recipe}[/]\n{escape(plan.source)}")
    rows, columns = plan.grid
    console.print(
        f"alignment {plan.alignment}, {rows}x{columns} visual tokens a crop, arithmetic in {derived.precision}\n"
    )
    console.print(_parameters(plan))
    console.print(_batches(plan))
    console.print(_flops(plan))
    _beside_paper(console, plan)
    console.print(_memory(plan))
    _launch(console, plan, line, folders(derived), cache_lines(derived, plan.grid))
    if json_file is not None:
        write_whole(
            json_file,
            json.dumps({**as_json(plan), "flops": as_json(plan.total_flops), "launch": line}, indent=2) + "\n",
        )
        console.print(f"\nwritten to {json_file}", soft_wrap=True)


def _records(data: list[str], recipe) -> dict:
    from asvr.data.conversation import read_conversations

    files: dict[str, list[Path]] = {}
    for given in data:
        stage, _, file = given.partition("=")
        if not file:
            raise ValueError(f"--data {given}: write STAGE=FILE")
        files.setdefault(recipe.stage(stage).name, []).append(Path(file))
    return {stage: [one for file in paths for one in read_conversations(file)] for stage, paths in files.items()}


def _table(title: str, first: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _parameters(plan: "Plan") -> Table:
    stages = plan.stages
    names = list(dict.fromkeys(part.name for stage in stages for part in stage.parts))
    table = _table("parameters", "", ["all", *(f"trained in {stage.name}" for stage in stages)])
    by_stage = [{part.name: part for part in stage.parts} for stage in stages]
    for name in names:
        held = max(parts[name].parameters for parts in by_stage if name in parts)
        trained = [f"{parts[name].trained:,}" if name in parts and parts[name].trained else "–" for parts in by_stage]
        table.add_row(name, f"{held:,}", *trained)
    held = [sum(part.parameters for part in stage.parts) for stage in stages]
    trained = [sum(part.trained for part in stage.parts) for stage in stages]
    table.add_row("[bold]together[/]", f"{max(held):,}", *(f"{count:,}" for count in trained))
    for group in dict.fromkeys(rate.group for stage in stages for rate in stage.rates):
        rates = [{rate.group: f"{rate.learning_rate:g}" for rate in stage.rates}.get(group, "–") for stage in stages]
        table.add_row(f"learning rate{f' of {group}' if group else ''}", "", *rates)
    return table


def _batches(plan: "Plan") -> Table:
    table = _table("\nbatches and tokens", "", [stage.name for stage in plan.stages])
    gpus = plan.devices.gpus

    def row(label: str, value) -> None:
        table.add_row(label, *(value(stage) for stage in plan.stages))

    row("records of an epoch", lambda stage: f"{stage.lengths.records:,}")
    row(
        f"batch: {gpus} device(s) x micro-batch x accumulation",
        lambda stage: (
            f"{gpus} x {stage.batches.micro_batch} x {stage.batches.accumulation} = {stage.batches.global_batch}"
        ),
    )
    row("steps (of them warm-up)", lambda stage: f"{stage.batches.steps:,} ({stage.batches.warmup_steps:,})")
    row("visual tokens of a picture", lambda stage: f"{stage.lengths.visual:,}")
    row("pictures of a conversation", lambda stage: f"{stage.lengths.pictures:.2f}")
    row("text tokens of a conversation [dim](a)[/]", lambda stage: f"{stage.lengths.text:,.0f}")
    row("tokens of a step", lambda stage: f"{stage.lengths.tokens * stage.batches.global_batch:,.0f}")
    return table


def _flops(plan: "Plan") -> Table:
    table = _table(
        "\nTFLOP of one conversation: forward + backward + again [dim](b)[/]",
        "",
        [stage.name for stage in plan.stages],
    )
    names = list(dict.fromkeys(name for stage in plan.stages for name in stage.flops))
    for name in names:
        table.add_row(name, *(_sum_of(stage, name) for stage in plan.stages))
    together = [stage.conversation_flops for stage in plan.stages]
    table.add_row("[bold]together[/]", *(f"{each.total / TERA:,.1f}" for each in together))
    table.add_row("one step, all devices", *(f"{stage.step_flops.total / TERA:,.0f}" for stage in plan.stages))
    table.add_row("the stage, x 1e19", *(f"{stage.total_flops.total / 1e19:.2f}" for stage in plan.stages))
    return table


def _sum_of(stage: "StagePlan", name: str) -> str:
    if name not in stage.flops:
        return "–"
    each = stage.flops[name]
    parts = (each.forward, each.backward, each.again)
    return " + ".join(f"{part / TERA:.2f}" for part in parts if part) or "–"


def _beside_paper(console: Console, plan: "Plan") -> None:
    from asvr.planning.published import PAPER_FLOPS, REMARK

    total = plan.total_flops
    console.print(
        f"\nall stages: [bold]{total.total / 1e19:.2f}e19[/] FLOPs, of which the forward pass is "
        f"{total.forward / 1e19:.2f}e19"
    )
    paper = PAPER_FLOPS.get(plan.recipe)
    if paper is not None:
        console.print(
            f"the paper: {paper / 1e19:.2f}e19 (Tables 6 and 7); ours is {total.total / paper:.1f} times that, its "
            f"forward pass {total.forward / paper:.1f} times. {REMARK}"
        )


def _memory(plan: "Plan") -> Table:
    devices = plan.devices
    title = f"\nGiB of memory on each of {devices.gpus} device(s), {devices.strategy} [dim](c)[/]"
    table = _table(title, "", [stage.name for stage in plan.stages])

    def row(label: str, value) -> None:
        table.add_row(label, *(f"{value(stage.memory) / GIB:,.1f}" for stage in plan.stages))

    row("weights", lambda memory: memory.states.weights)
    row("gradients", lambda memory: memory.states.gradients)
    row("AdamW", lambda memory: memory.states.optimiser)
    row("kept of the language model's layers", lambda memory: memory.inputs)
    row("forward: weights gathered or copied", lambda memory: memory.passing)
    row("forward: kept of the heads", lambda memory: memory.heads)
    row("backward: one layer computed again", lambda memory: memory.layer)
    row("set aside", lambda memory: memory.reserve)
    table.add_row(
        f"[bold]at the fullest moment[/], of {devices.memory:g}",
        *(
            f"[{'green' if stage.memory.total <= devices.memory * GIB else 'red'}]{stage.memory.total / GIB:,.1f}[/]"
            for stage in plan.stages
        ),
    )
    return table


def _launch(console: Console, plan: "Plan", line: str, folders: list[str], caches: list[str]) -> None:
    from asvr.planning.lengths import CHARACTERS_PER_TOKEN

    verdict = "[green]it fits[/]" if plan.fits else "[red]it does not fit[/]: more devices, or a smaller --micro-batch"
    console.print(f"{verdict}\n\n[bold]launch[/]")
    console.print(escape(line), soft_wrap=True)
    console.print("with copies of the data sets under DATA (`asvr data list`)", end="")
    console.print(f", and {', '.join(folders)} made before" if folders else "")
    for command in caches:
        console.print(
            f"codes are read from a cache, which is made once for all stages:\n{escape(command)}", soft_wrap=True
        )
    console.print(f"\n(a) {CHARACTERS_PER_TOKEN} characters a token, and what the template adds:", style="dim")
    for name, origin in {name: each for stage in plan.stages for name, each in stage.lengths.origin.items()}.items():
        console.print(Padding(f"{name}: {escape(origin)}", (0, 0, 0, 4)), style="dim")
    console.print(
        "(b) 2 per weight of a matrix and token, 4 s d a layer and token for attention over s tokens d wide, all "
        "pairs; backward the same for what goes in and for weights that train, twice for attention; again: "
        "gradient checkpointing. Frozen towers are counted by running them without data.\n"
        "(c) Weights and AdamW in fp32 whatever the arithmetic (zero2, zero3: bf16 and an fp32 copy). Kept: what "
        "autograd keeps, counted by running a layer and the heads without data. Estimated, not measured on a GPU.",
        style="dim",
    )
