"""Hugging Face's Trainer with the objective's normalisation, its log, and checkpoints of what trains."""

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer

from asvr.data.dataset import ConversationDataset
from asvr.data.order import SimilarLengths
from asvr.disk import writing
from asvr.objective import count_items
from asvr.recipes.optimisation import ParameterGroup
from asvr.training.by_source import SourceLosses
from asvr.training.groups import group_rates, optimizer_groups

WEIGHTS = "trainable.safetensors"
COMPLETE = "trainer_state.json"
"""The file that the Trainer writes last into a checkpoint; a folder without it was cut short."""


class StageTrainer(Trainer):
    """Trains an `Objective`; its arguments are the Trainer's own, and a recipe's groups, sources and blocks of lengths.

    Both losses are divided by the counts of the whole optimisation step, over micro-batches and ranks, so the result
    does not depend on how a step is cut up. A checkpoint holds the parameters that train; the frozen ones are where
    the recipe says. Where the collator says of which source each row is, the log has each loss of each source too;
    it always has `padding`, the share of positions that are padding.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *args: Any,
        groups: Sequence[ParameterGroup] = (),
        sources: Sequence[str] = (),
        similar_lengths: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._groups = groups
        self._similar_lengths = similar_lengths
        # The Trainer has just decided this from the signature of `forward`, where the keyword is named differently.
        self.model_accepts_loss_kwargs = True
        self._terms: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.args.device))
        self._steps_logged = 0
        self._by_source = SourceLosses(sources, self.args.device)
        # Tokens, and the positions that their padded batches have.
        self._filled = torch.zeros(2, dtype=torch.long, device=self.args.device)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Gives the Trainer's own random order, or one in blocks of similar length."""
        dataset = train_dataset or self.train_dataset
        if self._similar_lengths == 1:
            return super()._get_train_sampler(train_dataset)
        assert isinstance(dataset, ConversationDataset) and len(dataset.lengths) == len(dataset)
        assert self.args.data_seed is not None
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return SimilarLengths(
            dataset.lengths,
            batch_size=step,
            block=self._similar_lengths,
            seed=self.args.data_seed,
            steps_done=lambda: self.state.global_step,
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Makes the Trainer's own optimiser, with a rate of their own for the recipe's parameter groups."""
        if self._groups and self.optimizer is None:
            trained = model or self._objective
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            decayed = self.get_decay_parameter_names(trained)
            groups = optimizer_groups(
                trained.named_parameters(), self._groups, decayed=decayed, weight_decay=self.args.weight_decay
            )
            self.optimizer = kind(list(groups), **options)
        return super().create_optimizer(model)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, dict[str, Tensor]]:
        """Draws the micro-batches of one step and counts what both losses are divided by."""
        if not self._terms:
            # Not in `__init__`: a resumed run begins in the middle.
            self._steps_logged = self.state.global_step
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = [count_items(batch["labels"], batch["visual_mask"]) for batch in batches]
        totals = {name: sum(count[name] for count in counts) for name in ("text", "visual")} if counts else {}
        totals = {name: torch.as_tensor(total, device=device) for name, total in totals.items()}
        return batches, {name: self._sum_over_ranks(total) for name, total in totals.items()}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: dict[str, Tensor] | None = None,
    ) -> Any:
        """Computes one micro-batch's share of the step's loss; data parallelism averages, so it is scaled back up."""
        source, conversation = inputs.pop("source", None), inputs.get("conversation")
        filled = inputs["attention_mask"] > 0 if conversation is None else conversation >= 0
        self._filled += torch.stack([filled.sum(), torch.full_like(filled.sum(), filled.numel())])
        losses = model(**inputs, num_items=num_items_in_batch, by_row=source is not None)
        rows = losses.pop("rows", {})
        if source is not None:
            told = {name: inputs[name] for name in ("labels", "visual_mask")}
            self._by_source.add(source, rows, **told, conversation=conversation)
        for name, value in losses.items():
            self._terms[name] += value.detach()
        loss = losses["loss"] * self.accelerator.num_processes
        return (loss, losses) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds every term of the loss, averaged over the steps since the last log."""
        steps = self.state.global_step - self._steps_logged
        if steps and self._terms:
            names = sorted(self._terms)
            values = self._sum_over_ranks(torch.stack([self._terms[name] for name in names]))
            logs = {**logs, **{name: value / steps for name, value in zip(names, values.tolist(), strict=True)}}
            logs |= self._by_source.take(self._sum_over_ranks)
            tokens, positions = self._sum_over_ranks(self._filled).tolist()
            logs["padding"] = 1 - tokens / positions
            self._filled.zero_()
            self._terms.clear()
            self._refuse_divergence(logs)
        if "learning_rate" in logs:
            # One schedule scales all rates; the optimiser itself is a step ahead of the rate that is logged.
            logs = {**logs, **group_rates(self._groups, share=logs["learning_rate"] / self.args.learning_rate)}
        super().log(logs, start_time)

    def _refuse_divergence(self, logs: dict[str, float]) -> None:
        """Stops before the weights are saved, since `LogBeforeSaving` logs first."""
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs[name]):
                raise self._diverged(f"{name} is {logs[name]}")

    def _diverged(self, symptom: str) -> ValueError:
        return ValueError(
            f"{symptom} at step {self.state.global_step}: training has diverged; derive a recipe with a lower "
            "learning_rate by --set"
        )

    def _sum_over_ranks(self, value: Tensor) -> Tensor:
        summed = self.accelerator.reduce(value, "sum")
        assert isinstance(summed, Tensor)
        return summed

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes a checkpoint, or leaves none of it."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        try:
            with writing(folder):
                super()._save_checkpoint(model, trial)
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Writes the trained parameters, in the dtype they train in; refuses them if the last step has spoilt them."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        state = state_dict or self._objective.state_dict()
        trained = {name: state[name].contiguous().clone() for name in self._trained()}
        for name, value in trained.items():
            if not value.isfinite().all():
                raise self._diverged(f"{name} is not finite")
        save_file(trained, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Reads them back, strictly.

        Raises:
            ValueError: If the checkpoint holds other parameters than this stage trains.
        """
        state = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        if state.keys() != self._trained():
            raise ValueError(
                f"{resume_from_checkpoint} was written by a stage that trains other parameters: "
                f"{sorted(state.keys() ^ self._trained())[:5]} are not in both. Delete it, or resume its own recipe."
            )
        self._objective.load_state_dict(state, strict=False)

    @property
    def _objective(self) -> nn.Module:
        assert isinstance(self.model, nn.Module)
        return self.model

    def _trained(self) -> set[str]:
        return {name for name, parameter in self._objective.named_parameters() if parameter.requires_grad}


def last_checkpoint(folder: Path) -> Path | None:
    """Finds the newest checkpoint that was written to its end."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}") if _is_json(path)]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def _is_json(path: Path) -> bool:
    """Says whether a file was written to its end."""
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True
