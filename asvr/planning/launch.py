"""The command that starts a plan on one machine."""

import shlex

from asvr.planning.plan import Plan
from asvr.recipes.spec import Recipe


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
