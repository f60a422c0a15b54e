"""Answers to many questions about few pictures: each picture is encoded once, and each beginning of a prompt read once.

A prompt is cut behind its last visual token. The beginnings that differ are read first, every one once, by the stock
model with features of the pictures that it has computed before. What the model keeps of them, keys and values, is then
handed to every question that begins so, and the stock model goes on from there, as from any other cache.
"""

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

from asvr.evaluation.beginnings import Beginning, BeginningReader
from asvr.evaluation.greedy import GreedyModel
from asvr.evaluation.prompt_batch import PromptBatch, pad_prompts
from asvr.evaluation.roomy_cache import RoomyLayer
from asvr.evaluation.writing import write_answers
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
        self.read = BeginningReader(greedy)
        self.layers = [RoomyLayer() for _ in range(greedy.model.config.get_text_config().num_hidden_layers)]

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
        cache = self._read(begun, batch)
        longest, lengths = max(cuts), torch.tensor(cuts)
        rest = self.greedy.place(pad_prompts([prompt[end:] for prompt, end in cut], pad_token_id=self.greedy.ends[0]))
        read = (torch.arange(longest) >= longest - lengths[:, None]).long().to(self.greedy.model.device)
        mask = torch.cat([read, rest["attention_mask"]], dim=1)
        return write_answers(self.greedy, rest["input_ids"], mask, cache, max_new_tokens=max_new_tokens)

    def _end_of_beginning(self, prompt: Ids) -> int:
        """Cuts behind the last visual token; what shows no picture shares its first token, which changes nothing."""
        places = (prompt == self.greedy.model.config.image_token_id).nonzero()
        return int(places[-1]) + 1 if len(places) else 1

    def _read(self, begun: list[Beginning], batch: PromptBatch) -> Cache:
        """Gives every question what the model keeps of its beginning."""
        asking: dict[Beginning, list[int]] = {}
        for question, beginning in enumerate(begun):
            asking.setdefault(beginning, []).append(question)
        for layer in self.layers:
            layer.begin(len(begun), max(len(ids) for ids, _ in begun))
        for beginning, kept in self.read(list(asking), batch.pictures):
            for layer, (keys, values) in zip(self.layers, kept, strict=True):
                layer.place(asking[beginning], keys, values)
        return Cache(layers=self.layers)
