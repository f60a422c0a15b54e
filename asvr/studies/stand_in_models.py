"""Small models that stand in for published ones: language models carried over, another tower, an autoencoder."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from asvr.data.pictures import Pictures
from asvr.targets.checkpoints import load_tower, resolve
from asvr.targets.preparing import load_image_processor
from asvr.targets.sources import LatentSpec
from asvr.world.contrast import RegionContrast
from asvr.world.fit import Descent, descend
from asvr.world.generate import World, make_world
from asvr.world.regions import read_described_pictures
from asvr.world.tower import load_pixels

LANGUAGE_MODEL, TOWER = "embedded:language-model", "embedded:tower"
ADDED_LAYERS = 2
TOWER_PICTURES = 2000
AUTOENCODER_SIDE = 96
"""Six visual tokens of two latents of eight pixels: the grid of the embedded tower."""

CARRIED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""Fields of a configuration that the families share."""

FAMILIES: dict[str, tuple[type[PretrainedConfig], type[PreTrainedModel]]] = {
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def carry_over(family: str, out: Path) -> None:
    """Saves the embedded language model's weights in another family's stock class.

    Mistral's arithmetic is Llama's, and Qwen2's biases begin at zero: both compute what the embedded model computes.
    Qwen3's norms of queries and keys are new, so that it begins from worse.
    """
    llama = _embedded()
    config_class, model_class = FAMILIES[family]
    sizes: dict[str, Any] = {name: value for name, value in llama.config.to_dict().items() if name in CARRIED}
    if family == "mistral":
        sizes["sliding_window"] = None
    model = model_class(config_class(**sizes))
    # Loaded only from our own: what is missing are the biases and norms named above.
    model.load_state_dict(llama.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
    _save(model, llama, out)


def deepen(out: Path) -> None:
    """Saves the embedded language model with additional blocks that begin as the identity, so it computes the same."""
    llama = _embedded()
    config = LlamaConfig(**{**llama.config.to_dict(), "num_hidden_layers": 4 + ADDED_LAYERS})
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.load_state_dict(llama.state_dict(), strict=False)
    with torch.no_grad():
        for block in model.model.layers[-ADDED_LAYERS:]:
            assert isinstance(block, LlamaDecoderLayer)
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
    _save(model, llama, out)


def _embedded() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(resolve(LANGUAGE_MODEL), dtype=torch.float32)


def _save(model: PreTrainedModel, llama: LlamaForCausalLM, out: Path) -> None:
    model.generation_config = llama.generation_config
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(resolve(LANGUAGE_MODEL)).save_pretrained(out)


def continue_tower(out: Path, *, steps: int, checkpoint: Path) -> None:
    """Saves the embedded vision tower after more steps on other pictures.

    Args:
        out: Folder to write.
        steps: How many, of 64 pictures each.
        checkpoint: File that keeps the state of an interrupted training; the pictures are made beside it.
    """
    made = checkpoint.with_name("world")
    nothing = {"train": 0, "unlabelled": 0, "val": 0, "test": 0, "language": 0}
    make_world(made, World(seed=2, tower=min(TOWER_PICTURES, 64 * steps), **nothing))
    pictures = read_described_pictures(made / "tower.json")
    vocabulary = sorted({word for picture in pictures for region in picture.regions for word in region.words})
    tower, processor = load_tower(TOWER), SiglipImageProcessorPil.from_pretrained(resolve(TOWER))
    assert isinstance(tower, SiglipVisionModel)
    torch.manual_seed(0)
    model = RegionContrast(tower, vocabulary)

    def loss_of(indices: list[int]) -> Float[Tensor, ""]:
        batch = [pictures[index] for index in indices]
        return model(load_pixels(batch, made / "images", processor), [picture.regions for picture in batch])

    descent = Descent(steps=steps, batch_size=64, learning_rate=5e-4, warm_up=50)
    descend(model, loss_of, num_records=len(pictures), descent=descent, checkpoint=checkpoint)
    tower.save_pretrained(out)
    processor.save_pretrained(out)


def train_autoencoder(out: Path, pictures: Pictures, *, steps: int, checkpoint: Path) -> None:
    """Trains a small `AutoencoderKL` on squared error, its latents scaled to deviation one, and saves it.

    Args:
        out: Folder to write.
        pictures: What it learns from.
        steps: How many, of 8 pictures each.
        checkpoint: File that keeps the state of an interrupted training.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(0)
    levels = 4
    sizes: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": (8, 16, 32, 32),
        "layers_per_block": 1,
        "latent_channels": 16,
        "norm_num_groups": 8,
        "mid_block_add_attention": False,
        "sample_size": AUTOENCODER_SIDE,
        "scaling_factor": 1.0,
    }
    model = AutoencoderKL(**sizes)
    model.save_pretrained(out)
    prepare = LatentSpec(str(out), image_size=AUTOENCODER_SIDE).build().prepare
    pixels = torch.stack([prepare(pictures.open(index)) for index in range(min(len(pictures), 8 * steps, 1000))])

    def loss_of(indices: list[int]) -> Float[Tensor, ""]:
        batch = pixels[indices]
        posterior = model.encode(batch, return_dict=False)[0]
        decoded = model.decode(posterior.sample(), return_dict=False)[0]  # type: ignore[arg-type]
        return F.mse_loss(decoded, batch) + 1e-6 * posterior.kl().mean()

    descent = Descent(steps=steps, batch_size=8, learning_rate=2e-3, warm_up=20)
    descend(model, loss_of, num_records=len(pixels), descent=descent, checkpoint=checkpoint)
    with torch.no_grad():
        deviation = model.eval().encode(pixels[:64], return_dict=False)[0].mode().std().item()
    model.register_to_config(scaling_factor=1 / deviation)
    model.save_pretrained(out)


def untrained_tower(out: Path) -> None:
    """Saves a vision tower of the embedded one's shape with random weights."""
    torch.manual_seed(0)
    config = load_tower(TOWER).config
    assert isinstance(config, SiglipVisionConfig)
    SiglipVisionModel(config).save_pretrained(out)
    load_image_processor(resolve(TOWER)).save_pretrained(out)
