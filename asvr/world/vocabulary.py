"""The tokenizer of the world's language model: byte-level BPE in which every word of the world is one token."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from asvr.world.words import EMPTY, THING_WORDS

SPECIAL_TOKENS = ("<s>", "</s>", "<pad>", "<image>", "[INST]", "[/INST]", "<|im_start|>", "<|im_end|>")

# Words of the NLVR records that the world does not use.
_MORE_WORDS = (
    "A a an The the There there is Is are Are with and or of at as has only exactly least one two three four five "
    "six seven grey box boxes tower towers block blocks item items touching base edge wall corner closely top bottom "
    "medium true false statement image color colors colour colours same different not no any each all every which that "
    "statement small large square squares triangle triangles circle circles black blue yellow other second third over "
    "under above below left right middle together stacked having contains most more than it to from in on 6 7 8 9"
)


def train_tokenizer(texts: Iterable[str], *, num_merged: int = 640) -> PreTrainedTokenizerFast:
    """Makes a tokenizer that can write any text, and the world's in few tokens.

    Args:
        texts: What to learn merges from.
        num_merged: Most tokens that bytes and merges may take; special tokens and the words of word pictures come on
            top.

    Returns:
        A fast tokenizer with `SPECIAL_TOKENS`; a thing in a word picture is one token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=num_merged, initial_alphabet=sorted(alphabet), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator([*texts, *(f" {word} {word}" for word in _MORE_WORDS.split())], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in (EMPTY, *THING_WORDS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=list(SPECIAL_TOKENS[3:]),
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
