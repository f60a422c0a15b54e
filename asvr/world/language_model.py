"""The world's language model: a small Llama made from scratch on word pictures and captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from asvr.data.conversation import Conversation, read_conversations
from asvr.data.template import IGNORED, Encoded, encode
from asvr.data.templates import TEMPLATES
from asvr.world.fit import Descent, descend, device
from asvr.world.making import write_making
from asvr.world.vocabulary import train_tokenizer
from asvr.world.words import EMPTY, THING_WORDS

LANGUAGE_DESCENT = Descent(steps=3000, batch_size=16, learning_rate=1.5e-3)
"""What made the language model that ships with the package."""

_MAX_LENGTH = 512
TOKENIZER_RECORDS = 2000
"""How many of the first records the tokenizer is made from."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelSize:
    """Size of a Llama.

    Args:
        hidden_size: Width; four attention heads share it.
        num_layers: Number of decoder layers.
    """

    hidden_size: int = 128
    num_layers: int = 4


def fit_language_model(
    data: Path,
    out: Path,
    *,
    captions: Path,
    size: LanguageModelSize = LanguageModelSize(),
    descent: Descent = LANGUAGE_DESCENT,
) -> list[float]:
    """Trains a language model from scratch on text-only conversations and saves it with its tokenizer.

    Args:
        data: LLaVA records without images, rendered with the `mistral` template, which is saved with the tokenizer.
        out: Folder for a stock model, its tokenizer and `making.json`.
        captions: LLaVA records without images, rendered with the `plain` template: captions alone.
        size: Size of the model.
        descent: How long and how fast to train.

    Returns:
        Loss of every step: mean over the tokens of answers in a batch, in nats.
    """
    corpus = [(record, "mistral") for record in read_conversations(data)]
    corpus += [(record, "plain") for record in read_conversations(captions)]
    checkpoint = out / "checkpoint.pt"
    model, tokenizer, losses = train_language_model(corpus, size=size, descent=descent, checkpoint=checkpoint)
    tokenizer.chat_template = TEMPLATES["mistral"]
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    inputs = {"data": data, "captions": captions}
    write_making(out, inputs=inputs, num_records=len(corpus), descent=descent, losses=losses)
    return losses


def train_language_model(
    corpus: Sequence[tuple[Conversation, str]], *, size: LanguageModelSize, descent: Descent, checkpoint: Path
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase, list[float]]:
    """Trains a language model as `fit_language_model` does, without reading records or saving the result.

    Args:
        corpus: Conversations without images, each with the name of its template; the tokenizer is made from the first
            2,000.
        size: As in `fit_language_model`.
        descent: As in `fit_language_model`.
        checkpoint: File that keeps the state of an interrupted training.

    Returns:
        The model, its tokenizer, and the loss of every step.
    """
    # The template writes a space before every turn, and byte-level tokens hold the space before a word.
    tokenizer = train_tokenizer(f" {turn.text}" for record, _ in corpus[:TOKENIZER_RECORDS] for turn in record.turns)
    torch.manual_seed(descent.seed)
    model = LlamaForCausalLM(llama_config(tokenizer, size))
    start_from_parts(model.get_input_embeddings(), tokenizer)
    nn.Module.to(model, device())

    def loss_of(indices: list[int]) -> Float[Tensor, ""]:
        ids, labels = collate([encode_text(*corpus[index], tokenizer) for index in indices], tokenizer)
        return answer_loss(model, ids.to(device()), labels.to(device()))

    losses = descend(model, loss_of, num_records=len(corpus), descent=descent, checkpoint=checkpoint)
    return model, tokenizer, losses


def llama_config(tokenizer: PreTrainedTokenizerBase, size: LanguageModelSize) -> LlamaConfig:
    """Describes a Llama of this size for this tokenizer."""
    ids = tokenizer.get_vocab()
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=3 * size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        # The usual 0.02 suits widths of thousands; at this one attention would stay uniform for hundreds of steps.
        initializer_range=size.hidden_size**-0.5,
        # As Llama 3: slower rotations leave more of a head for matching words at any distance.
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        tie_word_embeddings=True,
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
        pad_token_id=ids["<pad>"],
    )


@torch.no_grad()
def start_from_parts(embedding: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Sets the embedding of each thing's word to the sum of those of the words in it.

    Every word of a word picture would otherwise have to be learnt by itself, and training stays for long at answers
    that ignore the picture.
    """
    assert isinstance(embedding, nn.Embedding)
    for word in (EMPTY, *THING_WORDS):
        parts = tokenizer(f" {word[1:-1]}", add_special_tokens=False).input_ids
        embedding.weight[tokenizer.convert_tokens_to_ids(word)] = embedding.weight[parts].sum(0)


def encode_text(record: Conversation, template: str, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Encodes a conversation without images by the named template."""
    return encode(
        record,
        tokenizer,
        chat_template=TEMPLATES[template],
        image_token="<image>",
        tokens_per_image=(),
        max_length=_MAX_LENGTH,
    )


def collate(
    batch: Sequence[Encoded], tokenizer: PreTrainedTokenizerBase
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]:
    """Pads ids and labels on the right."""
    pad_id = tokenizer.get_vocab()["<pad>"]
    return (
        pad_sequence([one.input_ids for one in batch], batch_first=True, padding_value=pad_id),
        pad_sequence([one.labels for one in batch], batch_first=True, padding_value=IGNORED),
    )


def answer_loss(
    model: LlamaForCausalLM, ids: Int[Tensor, "batch length"], labels: Int[Tensor, "batch length"]
) -> Float[Tensor, ""]:
    """Gives the model's own loss, without its logits at the nine in ten positions that have no label.

    Padding needs no mask: it lies on the right, where no labelled position can attend to it.
    """
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    followed = labels[:, 1:] != IGNORED
    return F.cross_entropy(model.lm_head(hidden[:, :-1][followed]), labels[:, 1:][followed])
