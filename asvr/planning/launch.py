"""The command that starts a plan on one machine."""

import shlex
from pathlib import Path

from asvr.planning.plan import Plan
from asvr.recipes.spec import Recipe
from asvr.recipes.supervision import CodesSpec
from asvr.targets.code_store import making


def launch_line(plan: Plan, *, layer: str, changes: list[str]) -> str:
    """Writes the command line.

    The Trainer reads how work is shared from the environment that the launcher sets, so no file has to be written.

    Args:
        plan: The recipe's.
        layer: Class name of the language model's layers, the units that are sharded.
        changes: What `--set` was given.
    """
    gpus = plan.devices.gpus
    match plan.devices.strategy:
        case _ if gpus == 1:
            start = ["asvr"]
        case "ddp":
            start = ["torchrun", "--nproc-per-node", str(gpus), "-m", "asvr"]
        case "fsdp":
            start = ["accelerate", "launch", "--num_processes", str(gpus), "--use_fsdp", "--fsdp_version", "2"]
            start += ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]
            start += ["--fsdp_transformer_layer_cls_to_wrap", layer]
            # Whole, since a checkpoint holds what trains and a saved stage is a stock model.
            start += ["--fsdp_state_dict_type", "FULL_STATE_DICT", "-m", "asvr"]
        case "zero2" | "zero3" as zero:
            start = ["accelerate", "launch", "--num_processes", str(gpus), "--use_deepspeed"]
            start += ["--zero_stage", zero.removeprefix("zero"), "-m", "asvr"]
    sets = [part for change in changes for part in ("--set", change)]
    train = ["train", plan.recipe, "--data-root", "DATA", "--micro-batch", str(plan.micro_batch)]
    return shlex.join([*start, *train, *sets])


def folders(recipe: Recipe) -> list[str]:
    """Lists what must have been made before the recipe can train: the folders of its targets."""
    found = [spec.target.folder for stage in recipe.stages for spec in stage.supervision.values()]
    return list(dict.fromkeys(found))


def cache_lines(recipe: Recipe, grid: tuple[int, int]) -> list[str]:
    """Writes the commands that make the recipe's caches of codes, each of which serves all stages.

    Args:
        recipe: The recipe.
        grid: Rows and columns of the model's visual tokens.
    """
    targets = [spec.target for stage in recipe.stages for spec in stage.supervision.values()]
    lines = [
        making(Path(each.cache), Path(each.tokenizer), pictures="DATA", grid=grid if each.resample else None)
        for each in targets
        if isinstance(each, CodesSpec) and each.cache is not None
    ]
    return list(dict.fromkeys(lines))
