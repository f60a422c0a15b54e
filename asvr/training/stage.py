"""Runs one stage of a recipe: build, freeze, train, save."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from asvr.data.collate import Collator
from asvr.data.conversation import Conversation
from asvr.data.dataset import ConversationDataset
from asvr.data.packing import PackingCollator, rows_of
from asvr.data.shared import SharedList
from asvr.data.templates import END_TOKENS, TEMPLATES
from asvr.disk import write_whole
from asvr.models.build import VlmProcessor
from asvr.objective import Objective
from asvr.recipes.spec import Recipe, Stage
from asvr.training.adapter import add_adapter
from asvr.training.by_source import source_names
from asvr.training.freeze import set_trainable
from asvr.training.kernels import use_kernels
from asvr.training.machine import Machine
from asvr.training.prepare import build_dataset, build_supervision, load_vlm
from asvr.training.save import save_stage

if TYPE_CHECKING:
    import asvr.training.trainer

DONE = "stage.json"
"""Written last; a stage folder without it is unfinished."""

METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What one stage reads.

    Args:
        conversations: What an epoch goes through.
        companions: Unlabelled pictures that ride along.
        tokens: What `token_report` counted in the conversations.
        lengths: Tokens of each of them, counted with it.
    """

    conversations: list[Conversation]
    companions: list[Conversation] = field(default_factory=list)
    tokens: dict[str, int | str] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)


def run_stage(
    recipe: Recipe,
    stage: Stage,
    inputs: StageInputs,
    folder: Path,
    *,
    previous: Path | None,
    seed: int,
    machine: Machine,
) -> Path:
    """Trains one stage, from its newest whole checkpoint if there is one, and saves a stock model.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        inputs: What the stage reads.
        folder: The stage's folder; it gets `metrics.jsonl`, `checkpoints/`, `model/`, `heads/` and `stage.json`.
        previous: Folder of the stage before, finished; None for the first.
        seed: Decides initial weights and the order of the data.
        machine: How the run is laid out.

    Returns:
        The folder. A stage that is already finished is left as it is.
    """
    from asvr.training.trainer import last_checkpoint

    if (folder / DONE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    objective, processor = build_objective(recipe, stage, previous, seed=seed)
    use_kernels(objective.vlm.model.language_model, machine, precision=recipe.precision)
    dataset = build_dataset(
        stage, objective, processor, conversations=inputs.conversations, companions=inputs.companions, seed=seed
    )
    dataset.lengths = inputs.lengths
    trained = set_trainable(objective, stage.trainable)
    trainer = build_trainer(recipe, stage, objective, dataset, processor, folder=folder, seed=seed, machine=machine)
    checkpoint = last_checkpoint(folder / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    dtype = torch.bfloat16 if recipe.precision == "bf16" else None
    save_stage(trainer, objective, processor, folder, dtype=dtype, adapter=stage.adapter)
    facts = {"steps": trainer.state.global_step, "resumed_from": checkpoint and checkpoint.name}
    _finish(trainer, folder, {**facts, "trained_parameters": trained, "tokens": inputs.tokens})
    return folder


def build_objective(
    recipe: Recipe, stage: Stage, previous: Path | None, *, seed: int
) -> tuple[Objective, VlmProcessor]:
    """Builds what a stage trains, with the heads that the stage before has trained, and sets its chat template."""
    vlm, processor = load_vlm(recipe, previous and previous / "model", seed=seed)
    supervision = build_supervision(stage, vlm, seed=seed)
    for name, term in supervision.items():
        trained = previous and previous / "heads" / f"{name}.safetensors"
        if trained and trained.is_file():
            assert isinstance(term.head, nn.Module)
            term.head.load_state_dict(load_file(trained))
    set_template(vlm, processor, stage.template)
    if stage.adapter is not None:
        add_adapter(vlm, stage.adapter, seed=seed)
    if stage.gradient_checkpointing:
        # Not of the whole model: that would also send gradients through the frozen vision tower, to no end.
        vlm.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    return Objective(vlm, supervision, recipe.alignment), processor


def set_template(vlm: PreTrainedModel, processor: VlmProcessor, template: str) -> None:
    """Saves a chat template with the processor, and lets generation stop at the token that its answers end with.

    Raises:
        ValueError: If the tokenizer does not have that token.
    """
    processor.chat_template = processor.tokenizer.chat_template = TEMPLATES[template]
    vlm.generation_config.eos_token_id = end_token_id(processor, template)


def end_token_id(processor: VlmProcessor, template: str) -> int:
    """Gives the id of the token that a template's answers end with.

    Raises:
        ValueError: If the tokenizer does not have that token.
    """
    tokenizer = processor.tokenizer
    end = END_TOKENS.get(template, tokenizer.eos_token)
    if end is None or tokenizer.convert_tokens_to_ids(end) in (None, tokenizer.unk_token_id):
        raise ValueError(
            f"the template {template!r} ends an answer with {end!r}, which is no token of the language model's "
            "tokenizer: choose the template that belongs to the language model"
        )
    return tokenizer.convert_tokens_to_ids(end)


def build_trainer(
    recipe: Recipe,
    stage: Stage,
    objective: Objective,
    dataset: ConversationDataset,
    processor: VlmProcessor,
    *,
    folder: Path,
    seed: int,
    machine: Machine,
) -> "asvr.training.trainer.StageTrainer":
    """Connects a stage to the Trainer; what the recipe says is passed on, the rest is how we run."""
    # transformers' Trainer, its callbacks too, imports peft, which a run that is refused need not wait for.
    from transformers import PrinterCallback, ProgressCallback, TrainingArguments

    from asvr.training.log import LogBeforeSaving, MetricsFile, ProgressBar
    from asvr.training.trainer import StageTrainer

    optimisation = stage.optimisation
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=min(machine.micro_batch, optimisation.batch_size),
        gradient_accumulation_steps=machine.accumulation(optimisation.batch_size),
        learning_rate=optimisation.learning_rate,
        num_train_epochs=optimisation.epochs,
        lr_scheduler_type="cosine",
        warmup_steps=optimisation.warmup_ratio,
        weight_decay=optimisation.weight_decay,
        max_grad_norm=optimisation.max_grad_norm,
        bf16=recipe.precision == "bf16",
        # Said outright, since otherwise the Trainer refuses bf16 on a machine without an accelerator.
        use_cpu=not torch.accelerator.is_available(),
        seed=seed,
        data_seed=seed,
        logging_steps=machine.log_every,
        save_steps=machine.save_every,
        save_total_limit=2,
        dataloader_num_workers=machine.num_workers,
        # They keep the pictures that they have prepared, and each prefetches two micro-batches, as is the default.
        dataloader_persistent_workers=machine.num_workers > 0,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        # Every rank reaches every trained parameter on every step, also without an image (Objective._touch_vision).
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to="none",
    )
    callbacks = [MetricsFile(folder / METRICS), LogBeforeSaving()]
    callbacks += [ProgressBar(f"{recipe.name} {stage.name}")] if machine.progress else []
    sources = source_names((*dataset.conversations, *dataset.companions))
    collator = Collator.for_tokenizer(processor.tokenizer, sources=sources)
    if machine.num_workers:
        dataset.conversations, dataset.companions = SharedList(dataset.conversations), SharedList(dataset.companions)
    trainer = StageTrainer(
        objective,
        arguments,
        train_dataset=dataset,
        data_collator=PackingCollator(collator, rows_of(machine.attention)) if machine.pack else collator,
        callbacks=callbacks,
        groups=optimisation.groups,
        sources=sources,
        similar_lengths=optimisation.similar_lengths,
    )
    for own in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(own)
    return trainer


def _finish(trainer: "asvr.training.trainer.StageTrainer", folder: Path, facts: dict[str, Any]) -> None:
    """Marks the stage as finished and drops its checkpoints, which the saved model replaces."""
    from asvr.training.log import read_metrics

    if trainer.is_world_process_zero():
        seconds = read_metrics(folder / METRICS)[-1]["seconds"]
        write_whole(folder / DONE, json.dumps({**facts, "seconds": seconds}, indent=2) + "\n")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    # The other ranks read what the first has just saved.
    trainer.accelerator.wait_for_everyone()
