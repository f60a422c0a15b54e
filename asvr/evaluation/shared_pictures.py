"""Answers to many questions about few pictures: each picture is encoded once, and each beginning of a prompt read once.

A prompt is cut behind its last visual token. The beginnings that differ are read first, every one once, by the stock
model with features of the pictures that it has computed before. What the model keeps of them, keys and values, is then
handed to every question that begins so, and the stock model goes on from there, as from any other cache.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import (
    Cache,
    DynamicCache,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from asvr.evaluation.beginnings import Beginning, BeginningReader, Kept
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.prompt_batch import PromptBatch, cut_by_tokens, pad_prompts
from asvr.evaluation.roomy_cache import RoomyLayer
from asvr.evaluation.writing import next_tokens, write_answers
from asvr.models.grids import OWN_TOWERS, TOWERS

MODELS = (LlavaConfig, LlavaNextConfig)
"""Models that put the features of a picture in the place of its visual tokens, and do nothing else with them."""

LANGUAGE_MODELS = (LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)
"""Language models that read from left to right and know places by rotation: a masked gap in their cache is nothing."""

Ids = Int[Tensor, " _"]


def can_share(config: PretrainedConfig) -> bool:
    """Says whether a model answers the same when beginnings of prompts are read once; chosen by its classes.

    Args:
        config: The model's. A window of attention is refused, since it counts the padding behind a beginning.
    """
    text = config.get_text_config()
    return (
        type(config) in MODELS
        and isinstance(config.vision_config, (*TOWERS, *OWN_TOWERS))
        and type(text) in LANGUAGE_MODELS
        and not any(DynamicCache(config=text).is_sliding)
    )


class SharedPictures:
    """Answers batches of questions; of a model that cannot share, or prompts without a text behind, the ordinary way.

    Args:
        greedy: Answers.
    """

    def __init__(self, greedy: GreedyModel) -> None:
        self.greedy = greedy
        self.shares = can_share(greedy.model.config)
        self.reader = BeginningReader(greedy)
        count = greedy.model.config.get_text_config().num_hidden_layers if self.shares else 0
        self.layers = [RoomyLayer() for _ in range(count)]

    def forget(self) -> None:
        """Forgets pictures, since names mean others in another set of questions; memory is kept."""
        self.reader = BeginningReader(self.greedy)

    @torch.inference_mode()
    def __call__(self, batch: PromptBatch, *, max_new_tokens: int) -> list[list[int]]:
        """Answers a batch.

        Args:
            batch: The questions.
            max_new_tokens: Longest answer, in tokens.

        Returns:
            For each prompt the ids before the first end token.
        """
        cuts = [self._end_of_beginning(prompt) for prompt in batch.prompts]
        if not self.shares or any(cut == len(prompt) for cut, prompt in zip(cuts, batch.prompts, strict=True)):
            return self.greedy(batch.inputs(pad_token_id=self.greedy.ends[0]), max_new_tokens=max_new_tokens)
        cut = list(zip(batch.prompts, cuts, strict=True))
        begun = [(tuple(prompt[:end].tolist()), names) for (prompt, end), names in zip(cut, batch.shown, strict=True)]
        rest = [prompt[end:] for prompt, end in cut]
        # Neighbours of similar length need little padding.
        order = sorted(range(len(rest)), key=lambda row: len(rest[row]))
        beginnings = self.reader(list(dict.fromkeys(begun)), batch.pictures)
        new, mask, cache = self._read(beginnings, [begun[row] for row in order], [rest[row] for row in order])
        said = write_answers(self.greedy, new, mask, cache, max_new_tokens=max_new_tokens)
        return [answer for _, answer in sorted(zip(order, said, strict=True))]

    def _end_of_beginning(self, prompt: Ids) -> int:
        """Cuts behind the last visual token; what shows no picture shares its first token, which changes nothing."""
        places = (prompt == self.greedy.model.config.image_token_id).nonzero()
        return int(places[-1]) + 1 if len(places) else 1

    def _read(
        self, beginnings: Iterator[tuple[Beginning, Kept]], begun: Sequence[Beginning], rest: Sequence[Ids]
    ) -> tuple[Ids, Int[Tensor, "questions length"], Cache]:
        """Reads prompts that all end at the same position; groups of them are padded between beginning and rest.

        Args:
            beginnings: Each once, in any order.
            begun: Each prompt's beginning.
            rest: What is behind it.

        Returns:
            First token of each answer, the mask, and what the model keeps.
        """
        groups = cut_by_tokens([len(ids) for ids in rest])
        padded = [pad_prompts(rest[rows], pad_token_id=self.greedy.ends[0]) for rows in groups]
        behind = [each["input_ids"].shape[1] for each in padded for _ in each["input_ids"]]
        length = max(len(ids) + more for (ids, _), more in zip(begun, behind, strict=True))
        mask = torch.zeros(len(begun), length, dtype=torch.long)
        for row, more in enumerate(behind):
            mask[row, length - more - len(begun[row][0]) : length - more] = 1
            mask[row, length - len(rest[row]) :] = 1
        mask = mask.to(self.greedy.model.device)
        for layer in self.layers:
            layer.begin([length - more for more in behind], length)
        cache = self._place(beginnings, begun)
        new = []
        for rows, each in zip(groups, padded, strict=True):
            ids = each["input_ids"].to(mask.device)
            self._look_at(rows, length - ids.shape[1])
            new.append(next_tokens(self.greedy, ids, mask[rows], cache))
        self._look_at(slice(0, len(begun)), length)
        return torch.cat(new), mask, cache

    def _place(self, beginnings: Iterator[tuple[Beginning, Kept]], begun: Sequence[Beginning]) -> Cache:
        """Gives every question what the model keeps of its beginning."""
        asking: dict[Beginning, list[int]] = {}
        for question, beginning in enumerate(begun):
            asking.setdefault(beginning, []).append(question)
        for beginning, kept in beginnings:
            for layer, (keys, values) in zip(self.layers, kept, strict=True):
                layer.place(asking[beginning], keys, values)
        return Cache(layers=[*self.layers])

    def _look_at(self, rows: slice, length: int) -> None:
        for layer in self.layers:
            layer.look_at(rows, length)
