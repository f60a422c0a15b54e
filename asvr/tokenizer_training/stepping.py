"""One optimisation step of a tokenizer, from micro-batches on every process."""

import torch
from jaxtyping import Float
from torch import Tensor

from asvr.tokenizer_training.batches import Sample
from asvr.tokenizer_training.branches import AppearanceBranch, Captions, total
from asvr.tokenizer_training.metrics import MetricsLog
from asvr.tokenizer_training.objective import TokenizerObjective
from asvr.tokenizer_training.optimise import build_discriminator_optimiser, build_optimiser, descend, learning_rate
from asvr.tokenizer_training.spec import TokenizerRecipe
from asvr.tokenizers.ranks import Ranks


class Stepper:
    """Moves everything that a recipe trains: networks, codebooks, discriminator.

    A step has the same outcome, but for rounding, however many processes and micro-batches it is cut into.

    Args:
        recipe: The recipe.
        objective: What it trains, on the processes' device.
        ranks: The processes.
        log: Gets every term of the losses.
    """

    def __init__(
        self, recipe: TokenizerRecipe, objective: TokenizerObjective, *, ranks: Ranks, log: MetricsLog
    ) -> None:
        self.recipe, self.objective, self.ranks, self.log = recipe, objective.train(), ranks, log
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "main": build_optimiser(objective.trained().values(), recipe.optimisation)
        }
        """Optimisers by name."""
        if objective.appearance is not None and objective.appearance.discriminator is not None:
            learnt = objective.appearance.discriminator.parameters()
            self.optimisers["discriminator"] = build_discriminator_optimiser(learnt, recipe.optimisation)

    def take(self, step: int, batches: list[list[Sample]]) -> None:
        """Takes a step.

        Args:
            step: Its number, from zero.
            batches: This process's micro-batches of equal size.
        """
        captions = self._captions(batches)
        critic = self._critic(step)
        for number, samples in enumerate(batches):
            pixels = torch.stack([sample.pixels for sample in samples]).to(self.ranks.device)
            with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                outcome = self.objective(pixels, captions and captions[number], adversarial=critic is not None)
                loss = total(outcome.terms)
            # The graphs are let go one after the other: the discriminator's is another.
            (loss / len(batches)).backward()
            if critic is not None:
                self._judge(critic, pixels, outcome.decoded, share=1 / len(batches))
            self._note(loss, {name: term.value for name, term in outcome.terms.items()})
        self._move(step, critic)

    def _critic(self, step: int) -> AppearanceBranch | None:
        """Gives the pixel branch if its discriminator has begun."""
        branch = self.objective.appearance
        begun = branch is not None and branch.discriminator is not None and step >= branch.spec.adversarial.start
        return branch if begun else None

    def _judge(self, critic: AppearanceBranch, pixels: Tensor, decoded: Tensor, share: float) -> None:
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            loss = critic.judge(pixels, decoded)
        (loss * share).backward()
        self.log.add("appearance_discriminator", loss)

    def _note(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        self.log.add("loss", loss)
        for name, value in terms.items():
            self.log.add(name, value)

    def _move(self, step: int, critic: AppearanceBranch | None) -> None:
        rate = learning_rate(self.recipe.optimisation, step)
        descend(self.optimisers["main"], rate, self.ranks)
        for name, bottleneck in self.objective.bottlenecks().items():
            bottleneck.quantizer.update(step, self.ranks)
            self.log.add(f"{name}_perplexity", bottleneck.quantizer.perplexity())
        if critic is not None:
            descend(self.optimisers["discriminator"], rate, self.ranks)
            self.log.add("appearance_adaptive_weight", critic.adaptive.value)
            critic.adaptive.update(self.ranks)

    def _captions(self, batches: list[list[Sample]]) -> list[Captions] | None:
        """Embeds the captions of the whole step; gives for each micro-batch where its own are among them."""
        tower = self.objective.semantic and self.objective.semantic.captions
        if not tower:
            return None
        own = torch.cat([tower([sample.caption or "" for sample in samples]) for samples in batches])
        texts = self._joined(own)
        numbers = torch.arange(len(own), device=own.device) + self.ranks.index * len(own)
        parts = numbers.split([len(samples) for samples in batches])
        return [Captions(texts, part) for part in parts]

    def _joined(self, own: Float[Tensor, "own width"]) -> Float[Tensor, "all width"]:
        """Puts the rows of all processes, which have equally many, below one another."""
        rows = own.new_zeros(self.ranks.count, *own.shape)
        rows[self.ranks.index] = own
        return self.ranks.total(rows).flatten(0, 1)
