"""What the world's vision tower and language model have learnt, on scenes that neither was trained on."""

from collections import defaultdict
from pathlib import Path
from random import Random

import torch
from transformers import AutoImageProcessor, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase, SiglipVisionModel

from asvr.data.template import encode_prompt
from asvr.data.templates import TEMPLATES
from asvr.world.making import add_measured
from asvr.world.probe import make_probe_set, probe_attributes
from asvr.world.questions import KINDS
from asvr.world.scene import sample_scene
from asvr.world.words import word_picture

_SEED = 1
"""Another seed than the shipped world's."""


@torch.no_grad()
def measure_tower(folder: Path, *, num_pictures: int = 2000) -> dict[str, float]:
    """Probes the layer before a tower's last, which LLaVA reads, and adds the accuracies to its `making.json`.

    Args:
        folder: A tower's folder.
        num_pictures: Pictures to probe on; a quarter of their things is held out.

    Returns:
        Held-out accuracy per attribute, between 0 and 1.
    """
    tower, processor = SiglipVisionModel.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    probe_set = make_probe_set(num_pictures, seed=_SEED)
    pixels = processor(list(probe_set.pictures), return_tensors="pt")["pixel_values"]
    features = torch.cat(
        [tower(pixel_values=batch, output_hidden_states=True).hidden_states[-2] for batch in pixels.split(100)]
    )
    measured = {name: round(score, 4) for name, score in probe_attributes(features, probe_set).items()}
    add_measured(folder, {"probe": measured})
    return measured


@torch.no_grad()
def measure_language_model(folder: Path, *, num_scenes: int = 500) -> dict[str, float]:
    """Asks a language model about word pictures of held-out scenes and adds the accuracies to its `making.json`.

    Args:
        folder: A language model's folder.
        num_scenes: Scenes to ask about, each one question of every kind it allows.

    Returns:
        Accuracy per kind of question, between 0 and 1; an answer is the likeliest next token.
    """
    model, tokenizer = LlamaForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    right: dict[str, list[bool]] = defaultdict(list)
    for index in range(num_scenes):
        scene = sample_scene("test", index, seed=_SEED)
        rng = Random(f"measure {index}")
        asked = {category: kind(scene, rng) for category, kind in KINDS.items()}
        for category, drawn in asked.items():
            if drawn is not None:
                right[category].append(_answers(model, tokenizer, word_picture(scene), *drawn))
    measured = {category: round(sum(rights) / len(rights), 4) for category, rights in right.items()}
    add_measured(folder, {"accuracy": measured})
    return measured


def _answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, scene: str, question: str, answer: str
) -> bool:
    prompt = encode_prompt(
        f"{scene}\n{question}",
        tokenizer,
        chat_template=TEMPLATES["mistral"],
        image_token="<image>",
        tokens_per_image=(),
    )
    likeliest = int(model(input_ids=prompt[None]).logits[0, -1].argmax())
    expected = tokenizer(f" {answer}", add_special_tokens=False).input_ids
    return expected == [likeliest]
